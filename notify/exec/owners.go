package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links on the way to a command, as the kernel
// does.
const maxLinks = 40

// checkOwners refuses a command that somebody else could exchange: the drainer
// is root whenever keepalived's hook is. The file, and every directory and
// link that leads to it, must belong to root or to the account that runs this,
// and be writable by no other: by nobody else, and by no group but root's. A
// directory may be if it is sticky, as others cannot rename in there what is
// not theirs. keepalived asks the same of its scripts under
// enable_script_security (keepalived.conf(5)).
func checkOwners(path string) error {
	at := "/"
	if err := checkElement(at); err != nil {
		return err
	}
	names, links := strings.Split(path, "/"), 0
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return err
		}
		if err := checkElement(next); err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return errors.New("is behind too many symbolic links")
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		names = append(strings.Split(target, "/"), names...)
	}
	info, err := os.Stat(at)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	return err
}

// checkElement checks one element of a path, which is no link to another.
func checkElement(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner is not known", path)
	}
	mode := info.Mode()
	switch {
	case owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("is not run, as %s belongs to the account with number %d, which could exchange it; chown it to root", path, owner.Uid)
	case mode&os.ModeSymlink != 0, mode.IsDir() && mode&os.ModeSticky != 0:
		return nil
	case mode.Perm()&0o002 != 0:
		return fmt.Errorf("is not run, as every account may write to %s (mode %04o); chmod o-w it", path, mode.Perm())
	case mode.Perm()&0o020 != 0 && owner.Gid != 0:
		return fmt.Errorf("is not run, as the group with number %d may write to %s (mode %04o); chmod g-w it", owner.Gid, path, mode.Perm())
	}
	return nil
}
