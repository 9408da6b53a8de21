package webhook

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"hacheck/notify/secret"
)

// Warnings tells what is wrong, at this moment and for this account, with the
// files the channel will read, and what secret everybody on the way could read.
// It is for a check of the configuration.
func (n *Notifier) Warnings() []string {
	var warnings []string
	for _, file := range n.cfg.secretFiles() {
		warnings = append(warnings, secret.Warnings(file.field, file.path)...)
	}
	if n.cfg.CAFile != "" {
		if _, err := secret.ReadCAs(n.cfg.CAFile); err != nil {
			warnings = append(warnings, "ca_file: "+err.Error())
		}
	}
	if target, s, err := n.load(); err == nil && target.Scheme == "http" && !isLoopback(target.Hostname()) {
		if what := n.confidential(target, s); what != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s sends %s in clear: everybody on the way can read it; use https://", n.urlField(), show(target), what))
		}
	}
	return warnings
}

// confidential says which secret a request carries; empty if none is known.
func (n *Notifier) confidential(target *url.URL, s secrets) string {
	switch {
	case s.token != "":
		return "the token"
	case n.preset.secretURL, n.cfg.URLFile != "":
		return "the URL, which is a secret,"
	case target.User != nil:
		return "the account before the '@'"
	case n.cfg.TopicFile != "":
		return "the topic, which is a secret,"
	case n.cfg.HeadersFile != "":
		return "the headers of headers_file"
	}
	for _, name := range slices.Sorted(maps.Keys(n.cfg.Headers)) {
		if soundsSecret(name) {
			return "the header " + name
		}
	}
	return ""
}

// soundsSecret reports whether a header of that name has a secret for its value.
func soundsSecret(header string) bool {
	return slices.ContainsFunc([]string{"auth", "token", "key", "secret", "pass", "cookie"}, func(word string) bool {
		return strings.Contains(strings.ToLower(header), word)
	})
}

// isLoopback reports whether what is sent to a host does not leave this node.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// urlField is the field that names the URL.
func (n *Notifier) urlField() string {
	switch {
	case n.cfg.URLFile != "":
		return "url_file"
	case len(n.cfg.URLs) > 0:
		return "urls"
	}
	return "url"
}

// secretFile is a file the configuration names, and the field that names it.
type secretFile struct{ field, path string }

// SecretFiles lists the files that hold secrets, as far as some are named.
func (c Config) SecretFiles() []string {
	var paths []string
	for _, file := range c.secretFiles() {
		paths = append(paths, file.path)
	}
	return paths
}

// secretFiles lists those that are set: New checks their paths, and Warnings
// looks at them. load reads each for what it is.
func (c Config) secretFiles() []secretFile {
	var files []secretFile
	for _, file := range [...]secretFile{
		{"url_file", c.URLFile}, {"secret_file", c.SecretFile}, {"token_file", c.TokenFile},
		{"topic_file", c.TopicFile}, {"headers_file", c.HeadersFile},
	} {
		if file.path != "" {
			files = append(files, file)
		}
	}
	return files
}
