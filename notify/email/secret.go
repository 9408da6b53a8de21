package email

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSecret bounds a password file, in bytes.
const maxSecret = 4096

// checkSecretPath tells whether path is an absolute path or the bare name of
// a systemd credential.
func checkSecretPath(field, path string) error {
	if filepath.IsAbs(path) || filepath.Base(path) == path && path != "." && path != ".." {
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

// readSecret reads a password: one file, without the newline at its end. It
// cannot block on a FIFO and takes at most maxSecret bytes.
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
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s: holds more than one line", path)
	}
	return secret, nil
}

// Warnings tells what is wrong, at this moment and for this account, with the
// files the channel will read. It is for a check of the configuration: Notify
// does not refuse a password that others can read, as an alert that is sent
// is worth more than one that is not.
func (n *Notifier) Warnings() []string {
	var warnings []string
	if n.cfg.PasswordFile != "" {
		path, err := locateSecret(n.cfg.PasswordFile)
		if err == nil {
			_, err = readSecret(path)
		}
		if err != nil {
			warnings = append(warnings, "password_file: "+err.Error())
		}
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o007 != 0 {
			warnings = append(warnings, fmt.Sprintf("password_file: %s is open to every account (mode %04o); chmod 0640 it", path, info.Mode().Perm()))
		}
	}
	if n.cfg.CAFile != "" {
		if _, err := readCAs(n.cfg.CAFile); err != nil {
			warnings = append(warnings, "ca_file: "+err.Error())
		}
	}
	return warnings
}
