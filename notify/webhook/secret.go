package webhook

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Bounds of the files a channel reads, in bytes. The system's CA bundle has
// about 250 kB.
const (
	maxSecret = 16 << 10
	maxCAs    = 2 << 20
)

// checkSecretPath tells whether path is empty, an absolute path or the bare
// name of a systemd credential.
func checkSecretPath(field, path string) error {
	if path == "" || filepath.IsAbs(path) || filepath.Base(path) == path && path != "." && path != ".." {
		return nil
	}
	return fmt.Errorf("%s: %q is neither an absolute path nor the bare name of a systemd credential", field, path)
}

// locateSecret resolves the name of a systemd credential.
func locateSecret(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	if folder == "" {
		return "", fmt.Errorf("systemd credential %q: $CREDENTIALS_DIRECTORY is not set, so this process was not started by a unit with LoadCredential=; an absolute path works everywhere", path)
	}
	return filepath.Join(folder, path), nil
}

// readSecret reads a file that holds something, without the newline at its
// end. It cannot block on a FIFO and takes at most maxSecret bytes.
func readSecret(path string) (string, error) {
	path, err := locateSecret(path)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	switch {
	case len(data) > maxSecret:
		return "", fmt.Errorf("%s: is larger than %d bytes", path, maxSecret)
	case secret == "":
		return "", fmt.Errorf("%s: is empty", path)
	}
	return secret, nil
}

// parseHeaders reads the lines of a headers file. Empty lines and lines that
// begin with '#' do not count. Its errors do not repeat a value.
func parseHeaders(text string) (map[string]string, error) {
	headers := make(map[string]string)
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("line %d: is not of the form Name: value", number)
		}
		if !validName(name) {
			return nil, fmt.Errorf("line %d: does not begin with a header name", number)
		}
		value = strings.TrimSpace(value)
		if err := checkHeader(name, value); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		headers[name] = value
	}
	return headers, nil
}

// readCAs reads a PEM file of certificates.
func readCAs(path string) (*x509.CertPool, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxCAs))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: holds no PEM certificate", path)
	}
	return pool, nil
}

// Warnings tells what is wrong, at this moment and for this account, with the
// files the channel will read. It is for a check of the configuration: Notify
// does not refuse a secret that others can read, as an alert that is sent is
// worth more than one that is not.
func (n *Notifier) Warnings() []string {
	var warnings []string
	for _, file := range [...]struct{ field, path string }{
		{"url_file", n.cfg.URLFile}, {"secret_file", n.cfg.SecretFile}, {"headers_file", n.cfg.HeadersFile},
	} {
		if file.path == "" {
			continue
		}
		path, err := locateSecret(file.path)
		if err == nil {
			_, err = readSecret(path)
		}
		if err != nil {
			warnings = append(warnings, file.field+": "+err.Error())
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
			warnings = append(warnings, fmt.Sprintf("%s: %s is open to every account (mode %04o); chmod 0640 it", file.field, path, info.Mode().Perm()))
		}
	}
	if n.cfg.CAFile != "" {
		if _, err := readCAs(n.cfg.CAFile); err != nil {
			warnings = append(warnings, "ca_file: "+err.Error())
		}
	}
	return warnings
}
