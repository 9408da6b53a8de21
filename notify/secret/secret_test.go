package secret

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCheckPath(t *testing.T) {
	for path, right := range map[string]bool{
		"/etc/hacheck/pw": true, "smtp-password": true,
		"": false, ".": false, "..": false, "etc/pw": false, "../pw": false,
	} {
		if err := CheckPath("password_file", path); (err == nil) != right {
			t.Errorf("%q: %v", path, err)
		} else if err != nil && !strings.HasPrefix(err.Error(), "password_file: ") {
			t.Errorf("%q: %v does not name the field", path, err)
		}
	}
}

func TestRead(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain", "s3cret\r\n")
	fifo := filepath.Join(folder, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want, problem string }{
		{plain, "s3cret", ""},
		{"plain", "s3cret", ""},
		{write("empty", "\n"), "", "/empty: is empty"},
		{write("lines", "a\nb\n"), "", "/lines: holds more than one line"},
		{write("large", strings.Repeat("x", maxSecret+1)), "", "/large is larger than 16384 bytes"},
		{fifo, "", "/fifo is not a regular file"},
		{"absent", "", "/absent: no such file or directory"},
	} {
		got, err := ReadLine(test.path)
		if got != test.want || (err == nil) != (test.problem == "") || err != nil && !strings.HasSuffix(err.Error(), test.problem) {
			t.Errorf("%s: %q, %v", test.path, got, err)
		}
	}
	if text, err := Read(filepath.Join(folder, "lines")); text != "a\nb" || err != nil {
		t.Errorf("several lines: %q, %v", text, err)
	}
}

func TestCredentialOutsideOfAUnit(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if _, err := Read("smtp-password"); err == nil || !strings.Contains(err.Error(), "$CREDENTIALS_DIRECTORY is not set") {
		t.Errorf("got %v", err)
	}
}

func TestReadCAs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCAs(path); err == nil || err.Error() != path+": holds no PEM certificate" {
		t.Errorf("got %v", err)
	}
}
