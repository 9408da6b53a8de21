package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hacheck/checks"
	"hacheck/config"
)

// Room past the deadline for a check that ignores its context: it is then
// given up, so that the process still ends before keepalived loses patience.
const deadlineGrace = 25 * time.Millisecond

func (a *app) haproxyCommand() *cobra.Command {
	var backends []string
	var requirement, unit string
	var noProbe bool
	command := &cobra.Command{
		Use:   "haproxy",
		Short: "Check this node's HAProxy: unit, admin socket, listeners and backends",
		Long: `Check this node's HAProxy: unit, admin socket, listeners and backends.

The node fails when HAProxy is dead or frozen, when none of its ports is open,
or when no backend can serve. Servers that HAProxy does not check itself (no
'check' on their line) are dialled. The check 'haproxy' of the configuration
file, where there is one, replaces the built-in policy.

` + exitCodesHelp,
		Example: `  hacheck haproxy
  hacheck haproxy --backend mysql --backend 'web-*' --require all`,
		Args: cobra.NoArgs,
	}
	flags := command.Flags()
	flags.StringSliceVar(&backends, "backend", nil, "judge only backends of this name or pattern, may be repeated")
	flags.StringVar(&requirement, "require", "", "`N`, N%, any or all: how many backends must be able to serve (default any)")
	flags.StringVar(&unit, "unit", "", `systemd unit of HAProxy; "" with --unit= does not ask systemd (default haproxy.service)`)
	flags.BoolVar(&noProbe, "no-probe", false, "do not dial servers that HAProxy does not check")
	a.maintenanceFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		settings := a.config.HAProxyCheck()
		given := flags.Changed
		if given("backend") || given("require") || given("unit") || given("no-probe") {
			if settings.Kind != config.KindHAProxy {
				return usageError("%s makes 'haproxy' a %s check: --backend, --require, --unit and --no-probe mean nothing to it", a.config.Path, settings.Kind)
			}
		}
		if given("backend") {
			if len(backends) == 0 || slices.Contains(backends, "") {
				return usageError("--backend is empty (is a variable not set?)")
			}
			settings.Backends.Include = backends
		}
		if given("unit") {
			settings.Unit = unit
		}
		if noProbe {
			settings.Backends.ProbeUnchecked = false
		}
		if given("require") {
			parsed, err := checks.ParseRequire(requirement)
			if err != nil {
				return usageError("--require: %w", err)
			}
			settings.Backends.Require = parsed
		}
		return a.runDeclared(config.BuiltinHAProxy, verdictOf(command, a.args))
	}
	return command
}

func (a *app) checkCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "check NAME",
		Short: "Run a check declared in the configuration",
		Long: `Run a check declared under 'checks' in the configuration. The name 'haproxy'
is always there: it is the built-in check unless the configuration replaces it.

` + exitCodesHelp,
		Args: exactArgs(1, "the name of a check"),
		RunE: func(command *cobra.Command, args []string) error {
			return a.runDeclared(args[0], verdictOfCheck(command, args[0], a.args))
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			if a.config == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.config.CheckNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	a.maintenanceFlag(command)
	return command
}

func (a *app) systemdCommand() *cobra.Command {
	settings := config.NewCheck("systemd", config.KindSystemd)
	command := &cobra.Command{
		Use:   "systemd UNIT…",
		Short: "Check that systemd units are active",
		Long: `Check that systemd units are active. A unit may be a pattern such as
'app@*.service'; patterns see loaded units only. Active and reloading are
healthy.

` + exitCodesHelp,
		Example: `  hacheck systemd haproxy.service
  hacheck systemd 'app@*.service' --require 2`,
		Args: minimumArgs(1, "a unit"),
	}
	requireFlag(command, &settings.Require)
	a.maintenanceFlag(command)
	command.RunE = func(_ *cobra.Command, args []string) error {
		settings.Units = args
		return a.runFromFlags(settings)
	}
	return command
}

func (a *app) tcpCommand() *cobra.Command {
	settings := config.NewCheck("tcp", config.KindTCP)
	command := &cobra.Command{
		Use:   "tcp ADDR…",
		Short: "Check that TCP addresses answer",
		Long: `Check that addresses answer: host:port, [v6]:port or unix:/path.

` + exitCodesHelp,
		Example: `  hacheck tcp 127.0.0.1:3306 127.0.0.1:6379 --require all
  hacheck tcp 127.0.0.1:6379 --send 'PING\r\n' --expect +PONG`,
		Args: minimumArgs(1, "an address"),
	}
	requireFlag(command, &settings.Require)
	flags := command.Flags()
	flags.StringVar(&settings.Send, "send", "", `text to send, with escapes such as \r\n and \x00`)
	flags.StringVar(&settings.Expect, "expect", "", "text the answer must contain, with escapes")
	tlsFlags(command, settings)
	flags.BoolVar(&settings.TLS, "tls", false, "speak TLS")
	a.maintenanceFlag(command)
	command.RunE = func(_ *cobra.Command, args []string) error {
		settings.Addresses = args
		return a.runFromFlags(settings)
	}
	return command
}

func (a *app) httpCommand() *cobra.Command {
	settings := config.NewCheck("http", config.KindHTTP)
	var headers []string
	command := &cobra.Command{
		Use:   "http URL…",
		Short: "Check that URLs answer as expected",
		Long: `Check that URLs answer as expected. Redirects are not followed unless asked
for, and no proxy is used. unix:/path:/uri speaks HTTP over a unix socket.

` + exitCodesHelp,
		Example: `  hacheck http http://127.0.0.1/health --status 200 --contains ok
  hacheck http https://shop.example.org/ --resolve shop.example.org:443:127.0.0.1`,
		Args: minimumArgs(1, "a URL"),
	}
	requireFlag(command, &settings.Require)
	flags := command.Flags()
	flags.StringVar(&settings.Method, "method", settings.Method, "request method")
	flags.StringSliceVar(&settings.Status, "status", settings.Status, "accepted status: 200, 2xx, 200-299 or a list of these")
	flags.StringVar(&settings.Contains, "contains", "", "text the body must contain")
	flags.StringArrayVar(&headers, "header", nil, "'Name: value' to send, may be repeated")
	flags.StringArrayVar(&settings.Resolve, "resolve", nil, "host:port:address, use this address for that host and port")
	flags.BoolVar(&settings.FollowRedirects, "follow-redirects", false, "judge the page a redirect leads to")
	tlsFlags(command, settings)
	a.maintenanceFlag(command)
	command.RunE = func(_ *cobra.Command, args []string) error {
		for _, header := range headers {
			name, value, found := strings.Cut(header, ":")
			if !found || strings.TrimSpace(name) == "" {
				return usageError("--header %q is not of the form 'Name: value'", header)
			}
			settings.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		settings.URLs = args
		return a.runFromFlags(settings)
	}
	return command
}

// maintenanceFlag is for a person who wants the answer behind a drain.
func (a *app) maintenanceFlag(command *cobra.Command) {
	command.Flags().BoolVar(&a.ignoreMaintenance, ignoreMaintenance, false, "answer as if no maintenance drained this node")
}

const ignoreMaintenance = "ignore-maintenance"

func requireFlag(command *cobra.Command, to *checks.Require) {
	command.Flags().TextVar(to, "require", *to, "`N`, N%, any or all: how many must be good")
}

func tlsFlags(command *cobra.Command, settings *config.Check) {
	flags := command.Flags()
	flags.StringVar(&settings.ServerName, "server-name", "", "name to ask for and verify in TLS (default: the host)")
	flags.StringVar(&settings.CAFile, "ca-file", "", "PEM file of the authorities to trust (default: the system's)")
	flags.BoolVar(&settings.Insecure, "insecure", false, "do not verify the certificate")
}

// exactArgs and minimumArgs word cobra's complaints for people.
func exactArgs(count int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < count:
			return usageError("%s is missing", what)
		case len(args) > count:
			return usageError("%q is too much: only %s is expected", args[count], what)
		}
		return nil
	}
}

func minimumArgs(count int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < count {
			return usageError("%s is missing", what)
		}
		return nil
	}
}

// runDeclared runs a check of the configuration. Mistakes outside the notify
// section end it: a check that silently fell back to defaults could move a VIP.
func (a *app) runDeclared(name, keepAs string) error {
	if err := a.config.CheckErrors(); err != nil {
		return a.refuse(keepAs, configError(err))
	}
	settings, err := a.config.Check(name)
	if err != nil {
		return a.refuse(keepAs, usageError("%w", err))
	}
	return a.run(settings, keepAs)
}

// runFromFlags runs a check that needs nothing of the configuration but the
// default deadline.
func (a *app) runFromFlags(settings *config.Check) error {
	return a.run(settings, verdictNameOf(settings.Name, a.args))
}

// verdictNameOf names the verdict of a check that has only its command line: a
// node may run several, and each has a last verdict of its own.
func verdictNameOf(kind string, args []string) string {
	hash := fnv.New32a()
	io.WriteString(hash, strings.Join(args, "\x00"))
	return fmt.Sprintf("%s-%08x", kind, hash.Sum32())
}

// verdictOfCommand gives the name under which a command line of keepalived.conf
// keeps its verdict, or "" if it is none of hacheck's checks.
func verdictOfCommand(words []string) string {
	if len(words) < 2 {
		return ""
	}
	// A scratch app: finding the command parses its flags into it.
	command, rest, err := new(app).rootCommand().Find(words[1:])
	if err != nil {
		return ""
	}
	if err := command.ParseFlags(rest); err != nil {
		return ""
	}
	switch name := command.Name(); name {
	case "haproxy":
		return verdictOf(command, words[1:])
	case "check":
		if command.Flags().NArg() != 1 {
			return ""
		}
		return verdictOfCheck(command, command.Flags().Arg(0), words[1:])
	case "systemd", "tcp", "http":
		return verdictNameOf(name, words[1:])
	default:
		return ""
	}
}

// verdictOf names the verdict of 'hacheck haproxy', whose flags are parsed: one
// that looks at something else than the plain command has its own.
func verdictOf(command *cobra.Command, args []string) string {
	if anyChanged(command, "backend", "require", "unit", "no-probe") {
		return verdictNameOf(config.BuiltinHAProxy, args)
	}
	return verdictOfCheck(command, config.BuiltinHAProxy, args)
}

// verdictOfCheck names the verdict of a check by its own name, unless it was
// asked to look elsewhere, by another configuration or past a maintenance:
// keepalived hears another answer then.
func verdictOfCheck(command *cobra.Command, name string, args []string) string {
	if anyChanged(command, "config", "socket", "haproxy-cfg", ignoreMaintenance) {
		return verdictNameOf(name, args)
	}
	return name
}

// anyChanged reports whether any of the flags was given.
func anyChanged(command *cobra.Command, names ...string) bool {
	return slices.ContainsFunc(names, command.Flags().Changed)
}

// run runs a check and keeps its verdict under the given name.
func (a *app) run(settings *config.Check, keepAs string) error {
	check, err := settings.Build(a.config)
	if err != nil {
		if settings.Declared() {
			return a.refuse(keepAs, configError(err))
		}
		return a.refuse(keepAs, usageError("%w", err))
	}
	timeout := settings.Deadline(a.config.Timeout)
	if a.flags.timeout > 0 {
		timeout = a.flags.timeout
	}
	maintenance := a.askMaintenance()
	last := a.askVerdict(keepAs)
	verdict := a.decide(check, timeout)
	if !a.ignoreMaintenance {
		verdict = a.drained(verdict, maintenance)
	}
	a.remember(verdict, keepAs, last)
	a.printVerdict(verdict)
	return errSaid(codeOfStatus(verdict.Status))
}

// decide runs the check under its deadline, counted from the process's start.
func (a *app) decide(check checks.Check, timeout time.Duration) checks.Verdict {
	deadline := a.started.Add(timeout)
	ctx, cancel := context.WithDeadlineCause(context.Background(), deadline, fmt.Errorf("no answer within %s%w", timeout, silent{context.DeadlineExceeded}))
	defer cancel()
	answer := make(chan checks.Result, 1)
	go func() {
		defer func() {
			// The exit code of a panic would say "wrong usage".
			if problem := recover(); problem != nil {
				answer <- checks.Result{Name: check.Name(), Status: checks.Unknown, Reason: fmt.Sprintf("fault in hacheck, please report it: %v", problem)}
			}
		}()
		answer <- check.Run(ctx)
	}()
	giveUp := time.NewTimer(time.Until(deadline) + deadlineGrace)
	defer giveUp.Stop()
	verdict := checks.Verdict{Time: a.started}
	select {
	case verdict.Result = <-answer:
	case <-giveUp.C:
		select {
		case verdict.Result = <-answer: // it came together with the end
		default:
			verdict.Result = late(check.Name(), timeout, time.Since(deadline))
		}
	}
	verdict.Took = time.Since(a.started)
	return verdict
}

// late is the result of a check that did not return. When this process itself
// was not given the time to look at its clock, nothing is known about HAProxy.
func late(name string, timeout, over time.Duration) checks.Result {
	if over > 4*deadlineGrace {
		return checks.Result{Name: name, Status: checks.Unknown, Reason: fmt.Sprintf("this machine stalled: the check was not given the time to end within %s", timeout)}
	}
	return checks.Result{Name: name, Status: checks.Fail, Reason: fmt.Sprintf("no answer within %s", timeout)}
}

// silent is an error that is there to be found by errors.Is, not to be read.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// refuse ends a check that could not even begin. The refusal is kept as a
// verdict, so that the notify hook can say why the node failed and the journal
// hears of it once, not every second.
func (a *app) refuse(name string, err error) error {
	a.remember(a.refusal(name, err.Error()), name, a.askVerdict(name))
	return err
}

// refusal is the verdict of a check that could not begin.
func (a *app) refusal(name, text string) checks.Verdict {
	first, _, _ := strings.Cut(text, "\n")
	return checks.Verdict{
		Result: checks.Result{Name: name, Status: checks.Unknown, Reason: first},
		Time:   a.started, Took: time.Since(a.started),
	}
}

var statusWords = map[checks.Status]string{
	checks.Pass: "OK", checks.Warn: "WARN", checks.Fail: "FAIL", checks.Unknown: "UNKNOWN",
}

func (a *app) printVerdict(verdict checks.Verdict) {
	a.answered = true
	if a.flags.output == outputJSON {
		encoded, err := json.Marshal(verdict)
		if err != nil {
			a.log.Error("cannot encode the verdict", "error", err)
			return
		}
		fmt.Fprintf(a.stdout, "%s\n", encoded)
		return
	}
	fmt.Fprintf(a.stdout, "%s (%.1f ms)\n", verdictLine(verdict), float64(verdict.Took.Microseconds())/1000)
}

func verdictLine(verdict checks.Verdict) string {
	return fmt.Sprintf("%s %s: %s", statusWords[verdict.Status], verdict.Name, verdict.Reason)
}
