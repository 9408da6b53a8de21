package checks

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReadBoundedFIFO: a FIFO without a writer does not hold the check.
func TestReadBoundedFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := TLSOptions{CAFile: path}.config()
	if err == nil || err.Error() != "CA file: "+path+" is not a regular file" {
		t.Errorf("err = %v", err)
	}
}

// TestProblem: trouble of this process says nothing about the peer.
func TestProblem(t *testing.T) {
	for _, test := range []struct {
		err    error
		status Status
		words  string
	}{
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), Fail, "connection refused"},
		{os.NewSyscallError("connect", syscall.EHOSTUNREACH), Fail, "no route to host"},
		{os.NewSyscallError("connect", syscall.ENOENT), Fail, "no such file or directory"},
		{os.NewSyscallError("connect", syscall.EACCES), Unknown, "permission denied"},
		{os.NewSyscallError("socket", syscall.EMFILE), Unknown, "too many open files"},
		{os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), Unknown, "cannot assign requested address"},
		{os.NewSyscallError("read", syscall.ECONNRESET), Fail, "connection reset by peer"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), Fail, "closed the connection"},
		{&net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}, Fail, "has a name that does not resolve (no such host)"},
		{&net.DNSError{Err: "server misbehaving", Name: "a", IsTemporary: true}, Unknown, "has a name that cannot be looked up now (server misbehaving)"},
		{errors.New("something else"), Fail, "something else"},
	} {
		if status, words := problem(test.err); status != test.status || words != test.words {
			t.Errorf("%v: got %s %q, want %s %q", test.err, status, words, test.status, test.words)
		}
	}
}
