package config

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"unicode/utf8"

	"hacheck/checks"
	"hacheck/haproxy"
)

// Build makes the check. The error of a declared check is an *Error with its
// place in the file.
func (c *Check) Build(common *Config) (checks.Check, error) {
	check, err := c.build(common)
	if err == nil {
		return check, nil
	}
	if c.Declared() {
		return nil, &Error{File: c.file, Line: c.line, Column: c.column, Message: fmt.Sprintf("check %s: %v", c.Name, err)}
	}
	return nil, err
}

func (c *Check) build(common *Config) (checks.Check, error) {
	switch c.Kind {
	case KindSystemd:
		return checks.NewSystemd(c.Name, c.Units, c.Require)
	case KindTCP:
		return c.buildTCP()
	case KindHTTP:
		return c.buildHTTP()
	default:
		return c.BuildHAProxy(common)
	}
}

func (c *Check) buildTCP() (checks.Check, error) {
	send, err := unescape(c.Send)
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	expect, err := unescape(c.Expect)
	if err != nil {
		return nil, fmt.Errorf("expect: %w", err)
	}
	options := checks.TCPOptions{Addresses: c.Addresses, Require: c.Require, Send: send, Expect: expect}
	if c.TLS || c.ServerName != "" || c.CAFile != "" || c.Insecure {
		options.TLS = c.tlsOptions()
	}
	return checks.NewTCP(c.Name, options)
}

func (c *Check) tlsOptions() *checks.TLSOptions {
	return &checks.TLSOptions{ServerName: c.ServerName, CAFile: c.CAFile, Insecure: c.Insecure}
}

// unescape reads the escapes of a Go string: what operators know from printf
// and echo -e (\r, \n, \t, \\, \", \xHH) is among them.
func unescape(text string) ([]byte, error) {
	var literal []byte
	for rest := text; rest != ""; {
		if rest[0] != '\\' {
			literal, rest = append(literal, rest[0]), rest[1:]
			continue
		}
		char, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			// Only the escape is shown: the text may hold a password.
			return nil, fmt.Errorf(`%q begins no known escape (use \r, \n, \t, \\, \xHH)`, rest[:min(2, len(rest))])
		}
		if multibyte {
			literal = utf8.AppendRune(literal, char)
		} else {
			literal = append(literal, byte(char))
		}
		rest = tail
	}
	return literal, nil
}

func (c *Check) buildHTTP() (checks.Check, error) {
	header := http.Header{}
	for name, value := range c.Headers {
		if len(header.Values(name)) > 0 {
			return nil, fmt.Errorf("headers: %s stands there twice, as capitals do not count", http.CanonicalHeaderKey(name))
		}
		header.Set(name, value)
	}
	return checks.NewHTTP(c.Name, checks.HTTPOptions{
		URLs: c.URLs, Require: c.Require, Method: c.Method, Status: c.Status, Contains: c.Contains,
		Header: header, Host: c.Host, Resolve: c.Resolve, FollowRedirects: c.FollowRedirects,
		TLS: *c.tlsOptions(),
	})
}

// BuildHAProxy makes the composite check of this node's HAProxy, also for a
// Check of another kind, whose haproxy settings are the defaults.
func (c *Check) BuildHAProxy(common *Config) (*checks.HAProxy, error) {
	check := checks.NewHAProxy(common.HAProxy.read)
	check.Label = c.Name
	check.Unit = c.Unit
	check.UnitNamed = c.Unit != defaultUnit
	if c.Unit != "" {
		if err := checks.ValidateUnit(c.Unit); err != nil {
			return nil, fmt.Errorf("unit: %w", err)
		}
	}
	check.ProbeUnchecked = c.Backends.ProbeUnchecked
	check.WantBackends = checks.BackendPolicy{
		Require: c.Backends.Require, Include: c.Backends.Include,
		Exclude: c.Backends.Exclude, Minimum: c.Backends.Minimum,
	}
	for _, patterns := range [][]string{c.Backends.Include, c.Backends.Exclude} {
		for _, pattern := range patterns {
			if err := checkPattern(pattern); err != nil {
				return nil, fmt.Errorf("backends: %w", err)
			}
		}
	}
	for _, minimum := range c.Backends.Minimum {
		if err := checkPattern(minimum.Pattern); err != nil {
			return nil, fmt.Errorf("backends: minimum: %w", err)
		}
	}
	check.WantListeners.Require = c.Listeners.Require
	for _, text := range c.Listeners.Addresses {
		address, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fmt.Errorf("listeners: %q is not an address with a port, such as 192.0.2.100:443 or [::]:80", text)
		}
		check.WantListeners.Addresses = append(check.WantListeners.Addresses, address)
	}
	if common.HAProxy.Socket != "" {
		address, err := haproxy.ParseAddress(common.HAProxy.Socket)
		if err != nil {
			return nil, fmt.Errorf("the admin socket: %w", err)
		}
		check.Sockets = []haproxy.Address{address}
	}
	return check, nil
}

func checkPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q is not a pattern: %w", pattern, err)
	}
	return nil
}

// read reads those parts of haproxy.cfg that are asked for, from the files
// named or from those HAProxy uses.
func (h *HAProxy) read(ctx context.Context, only haproxy.Want) (*haproxy.Config, error) {
	if len(h.Configuration) > 0 {
		return haproxy.LoadConfig(ctx, h.Configuration, haproxy.ConfigOptions{EnvPartial: true, Only: only})
	}
	source, err := haproxy.FindConfig("")
	if err != nil {
		return nil, err
	}
	return haproxy.LoadConfig(ctx, source.Paths, source.Options(only))
}
