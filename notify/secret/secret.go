// Package secret reads the files in which channels find what must not stand in
// the configuration: passwords, keys, URLs with a token. A file is named by an
// absolute path or by the bare name of a systemd credential (a file in
// $CREDENTIALS_DIRECTORY), and is read at each use, so that a changed secret
// needs no restart. No error repeats what a file holds.
package secret

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hacheck/regular"
)

// Bounds of the files, in bytes. The system's CA bundle has about 250 kB.
const (
	maxSecret = 16 << 10
	maxCAs    = 2 << 20
)

// CheckPath tells whether path is an absolute path or the bare name of a
// systemd credential. The error begins with the name of the field.
func CheckPath(field, path string) error {
	if filepath.IsAbs(path) || path != "" && filepath.Base(path) == path && path != "." && path != ".." {
		return nil
	}
	// The value is not shown: somebody may have put the secret itself there.
	return fmt.Errorf("%s: is neither an absolute path nor the bare name of a systemd credential", field)
}

// locate resolves the name of a systemd credential.
func locate(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	if folder == "" {
		// The name is not shown: it may be the secret itself, by mistake.
		return "", errors.New("systemd credential: $CREDENTIALS_DIRECTORY is not set, so this process was not started by a unit with LoadCredential=; name the file by its absolute path, which works everywhere")
	}
	return filepath.Join(folder, path), nil
}

// Elsewhere reports whether path names a systemd credential in a process that has
// none: another one, that of the unit with LoadCredential=, can read it.
func Elsewhere(path string) bool {
	return path != "" && !filepath.IsAbs(path) && os.Getenv("CREDENTIALS_DIRECTORY") == ""
}

// Read gives what a file holds, without the newline at its end, and refuses an
// empty one. It cannot block on a FIFO and takes at most 16 KiB.
func Read(path string) (string, error) {
	text, _, err := read(path)
	return text, err
}

// ReadLine is Read for a file that must hold one line.
func ReadLine(path string) (string, error) {
	text, located, err := read(path)
	if err == nil && strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("%s: holds more than one line", located)
	}
	return text, err
}

func read(path string) (text, located string, err error) {
	if located, err = locate(path); err != nil {
		return "", "", err
	}
	data, err := regular.Read(located, maxSecret)
	if err != nil {
		return "", "", err
	}
	if text = strings.TrimRight(string(data), "\r\n"); text == "" {
		return "", "", fmt.Errorf("%s: is empty", located)
	}
	return text, located, nil
}

// ReadCAs reads a PEM file of certificates, of at most 2 MiB.
func ReadCAs(path string) (*x509.CertPool, error) {
	data, err := regular.Read(path, maxCAs)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: holds no PEM certificate", path)
	}
	return pool, nil
}

// Warnings tells what is wrong, at this moment and for this account, with a
// secret file: it cannot be read, or everybody can. It is for a check of the
// configuration: a channel does not refuse a secret that others can read, as
// an alert that is sent is worth more than one that is not.
func Warnings(field, path string) []string {
	_, located, err := read(path)
	if err != nil {
		return []string{field + ": " + err.Error()}
	}
	if info, err := os.Stat(located); err == nil && info.Mode().Perm()&0o007 != 0 {
		return []string{fmt.Sprintf("%s: %s is open to every account (mode %04o); chmod 0640 it", field, located, info.Mode().Perm())}
	}
	return nil
}
