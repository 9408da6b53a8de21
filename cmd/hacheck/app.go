package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hacheck/config"
)

// app is one run of the command line.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// started is when the process began to run: deadlines count from here.
	started time.Time

	// signals gets the endSignals that arrive; nil leaves them to the system.
	signals chan os.Signal

	// step, where set, sees every step of the spool (see spool.Spool.Trace).
	step func(string)

	// args is the command line without the program's name.
	args []string
	// answered is set once there is an answer on stdout.
	answered bool
	// ignoreMaintenance lets a check answer although this node is drained.
	ignoreMaintenance bool

	flags  globalFlags
	log    *slog.Logger
	config *config.Config
}

// globalFlags are the flags every command has. What was not given is empty and
// the configuration decides.
type globalFlags struct {
	config         string
	keepalivedConf string
	haproxyCfg     []string
	socket         string
	stateDir       string
	runDir         string
	timeout        time.Duration
	output         string
	logLevel       string
	logFormat      string
}

const (
	outputText = "text"
	outputJSON = "json"
)

// main runs one command line and gives its exit code.
func (a *app) main(args []string) exitCode {
	a.args = args
	root := a.rootCommand()
	addHelp(root)
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	command, err := root.ExecuteC()
	if err == nil {
		return exitHealthy
	}
	code := codeOf(err)
	if text := err.Error(); text != "" {
		// One line a mistake: a configuration may have several.
		for line := range strings.Lines(text) {
			fmt.Fprintf(a.stderr, "hacheck: %s\n", strings.TrimRight(line, "\n"))
		}
		if code == exitUsage {
			fmt.Fprintf(a.stderr, "See '%s --help'.\n", command.CommandPath())
		}
		a.answerError(command, text, code)
		a.tellJournal(command, err)
	}
	return code
}

// answerError gives a program that reads JSON its answer where an error left none:
// of a check a verdict, as always.
func (a *app) answerError(command *cobra.Command, text string, code exitCode) {
	if a.flags.output != outputJSON || a.answered {
		return
	}
	name := command.Name()
	switch command.CommandPath() {
	case "hacheck check":
		name = orText(command.Flags().Arg(0), name)
		fallthrough
	case "hacheck haproxy", "hacheck systemd", "hacheck tcp", "hacheck http":
		a.printVerdict(a.refusal(name, text))
	default: // there is 'hacheck config check', too
		a.say(failure{Text: text, ExitCode: code})
	}
}

// failure is an error as an answer.
type failure struct {
	Text     string   `json:"error"`
	ExitCode exitCode `json:"exit_code"`
}

func (f failure) String() string { return f.Text }

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "hacheck",
		Short: "Health checks and failover notifications for keepalived + HAProxy pairs",
		Long: `hacheck tells keepalived whether this node should hold the VIP, and tells
people when keepalived moved it.

In keepalived.conf:

    vrrp_script chk_haproxy {
        script "/usr/bin/hacheck haproxy"
        interval 1
        fall 2
        rise 2
    }
    ...
    notify_master "/usr/bin/hacheck notify MASTER VI_1"

` + exitCodesHelp,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.NoArgs,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error { return a.prepare(command) },
		RunE: func(command *cobra.Command, _ []string) error {
			if command.Flags().Changed(versionFlag) {
				return a.version()
			}
			return usageError("no command given")
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.flags.config, "config", "", "configuration file (default "+config.DefaultPath+", which may be absent)")
	flags.StringVar(&a.flags.keepalivedConf, "keepalived-conf", "", "keepalived.conf (default: the one keepalived uses)")
	flags.StringSliceVar(&a.flags.haproxyCfg, "haproxy-cfg", nil, "haproxy.cfg file or directory, may be repeated (default: those HAProxy uses)")
	flags.StringVar(&a.flags.socket, "socket", "", "HAProxy admin socket (default: from haproxy.cfg)")
	flags.StringVar(&a.flags.stateDir, "state-dir", "", "where events wait for delivery (default "+config.DefaultStateDir+")")
	flags.StringVar(&a.flags.runDir, "run-dir", "", "where the last verdicts are kept (default "+config.DefaultRunDir+")")
	flags.DurationVar(&a.flags.timeout, "timeout", 0, "deadline of the command's checks (default "+config.DefaultTimeout.String()+")")
	flags.StringVar(&a.flags.output, "output", outputText, "text or json")
	flags.StringVar(&a.flags.logLevel, "log-level", "warn", "debug, info, warn or error")
	flags.StringVar(&a.flags.logFormat, "log-format", outputText, "text or json")
	root.Flags().Bool(versionFlag, false, "as 'hacheck version'")
	root.AddCommand(
		a.haproxyCommand(), a.checkCommand(), a.systemdCommand(), a.tcpCommand(), a.httpCommand(),
		a.notifyCommand(), a.deliverCommand(), a.queueCommand(),
		a.maintenanceCommand(), a.statusCommand(),
		a.configCommand(), a.versionCommand(),
	)
	return root
}

const versionFlag = "version"

// addHelp adds the commands that tell of others. They take no wrong word for a
// right one, as cobra's own do, and need no configuration.
func addHelp(root *cobra.Command) {
	needsNothing := func(*cobra.Command, []string) error { return nil }
	root.SetHelpCommand(&cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Help about any command",
		PersistentPreRunE: needsNothing,
		RunE: func(_ *cobra.Command, args []string) error {
			command, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("there is no command %q", strings.Join(args, " "))
			}
			command.InitDefaultHelpFlag()
			return command.Help()
		},
	})
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.PersistentPreRunE = needsNothing
		completion.RunE = func(*cobra.Command, []string) error {
			return usageError("completion needs a word: bash, fish, powershell or zsh")
		}
	}
}

// prepare checks the global flags and reads the configuration.
func (a *app) prepare(command *cobra.Command) error {
	a.attendSignals(command)
	if err := a.openLog(); err != nil {
		return err
	}
	if a.flags.output != outputText && a.flags.output != outputJSON {
		return usageError("--output %q is neither text nor json", a.flags.output)
	}
	if command.Flags().Changed("timeout") && (a.flags.timeout < config.MinTimeout || a.flags.timeout > config.MaxTimeout) {
		return usageError("--timeout %s is out of range: from %s to %s", a.flags.timeout, config.MinTimeout, config.MaxTimeout)
	}
	path, named := config.DefaultPath, false
	if a.flags.config != "" {
		path, named = a.flags.config, true
	}
	loaded, err := config.Load(path, named)
	a.config = loaded
	a.applyFlags()
	switch {
	case err == nil:
		return nil
	case toleratesBadConfig(command):
		a.log.Error(err.Error())
		return nil
	case command.Name() == "haproxy":
		return a.refuse(verdictOf(command, a.args), configError(err))
	case command.Name() == "check" && command.Flags().NArg() == 1:
		return a.refuse(verdictOfCheck(command, command.Flags().Arg(0), a.args), configError(err))
	default:
		return configError(err)
	}
}

// attendSignals gives the signals back to the system, which ends the process
// at once, for all commands but those that have an event to bring to safety. A
// check that outlived SIGTERM would count as a success of keepalived's script.
func (a *app) attendSignals(command *cobra.Command) {
	switch command.Name() {
	case "notify", "deliver":
		return
	}
	if a.signals == nil {
		return
	}
	signal.Reset(endSignals...)
	select {
	case got := <-a.signals:
		if process, err := os.FindProcess(os.Getpid()); err == nil {
			process.Signal(got)
		}
	default:
	}
}

// untilSignal gives a context that ends with the first signal that arrives or
// has arrived.
func (a *app) untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		select {
		case got := <-a.signals:
			cancel(fmt.Errorf("ended by signal %q", got))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// toleratesBadConfig reports whether a command does its work even when the
// configuration file cannot be read: a transition is recorded all the same, a
// check from flags alone needs no file, and how the node stands is told as far as
// it can be.
func toleratesBadConfig(command *cobra.Command) bool {
	if command.Flags().Changed(versionFlag) {
		return true
	}
	switch command.Name() {
	case "notify", "systemd", "tcp", "http", "status", "version":
		return true
	default:
		return false
	}
}

func (a *app) applyFlags() {
	override := func(to *string, flag string) {
		if flag != "" {
			*to = flag
		}
	}
	override(&a.config.StateDir, a.flags.stateDir)
	override(&a.config.RunDir, a.flags.runDir)
	override(&a.config.HAProxy.Socket, a.flags.socket)
	override(&a.config.Keepalived.Configuration, a.flags.keepalivedConf)
	if len(a.flags.haproxyCfg) > 0 {
		a.config.HAProxy.Configuration = a.flags.haproxyCfg
	}
}

func (a *app) openLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.flags.logLevel)); err != nil {
		return usageError("--log-level %q is none of debug, info, warn, error", a.flags.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch a.flags.logFormat {
	case outputText:
		a.log = slog.New(slog.NewTextHandler(a.stderr, options))
	case outputJSON:
		a.log = slog.New(slog.NewJSONHandler(a.stderr, options))
	default:
		return usageError("--log-format %q is neither text nor json", a.flags.logFormat)
	}
	return nil
}

// errSaid ends a command whose answer, already on stdout, is the exit code.
func errSaid(code exitCode) error {
	if code == exitHealthy {
		return nil
	}
	return &exitError{code: code, err: nil}
}
