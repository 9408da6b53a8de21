package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What keeps a spool from being written. The errors of this package wrap them
// together with the system's own error.
var (
	// ErrCannotCreate: a directory of the spool is missing and cannot be made.
	ErrCannotCreate = errors.New("cannot be created")
	// ErrNotPermitted: the account of this process may not read or write there.
	ErrNotPermitted = errors.New("not permitted for this account")
	// ErrReadOnly: the file system is mounted read-only.
	ErrReadOnly = errors.New("read-only file system")
	// ErrDiskFull: no space, no inodes, or the quota is used up.
	ErrDiskFull = errors.New("disk full")
	// ErrLocked: another process holds a lock for longer than it should.
	ErrLocked = errors.New("locked by another process")
)

// explain words an error of the file system: what was tried on which path, the
// class of the failure and what to do.
func explain(what, path string, err error) error {
	// The paths inside os.Root's errors are relative to it; path is not.
	var pathError *fs.PathError
	var linkError *os.LinkError
	if errors.As(err, &pathError) {
		err = pathError.Err
	} else if errors.As(err, &linkError) {
		err = linkError.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s %s: %w (%w): free space or inodes there", what, path, ErrDiskFull, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s %s: %w (%w): remount it writable or choose another state directory", what, path, ErrReadOnly, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s %s: %w (%w): this process runs as uid %d, gid %d%s", what, path, ErrNotPermitted, err,
			os.Geteuid(), os.Getegid(), ownerHint(path))
	}
	return fmt.Errorf("%s %s: %w", what, path, err)
}

// creating is explain for a directory that should have been made.
func creating(path string, err error) error {
	return fmt.Errorf("%s %w: %w", path, ErrCannotCreate, explain("make directory", path, err))
}

// ownerHint names who may use path or, if it is missing or hidden, the nearest
// directory above it that can be seen. To give it to somebody else is not advised:
// it has the owner and group that keepalived's hook and the delivery unit share.
func ownerHint(path string) string {
	for {
		info, err := os.Stat(path)
		if err == nil {
			stat := info.Sys().(*syscall.Stat_t)
			return fmt.Sprintf("; %s belongs to uid %d, gid %d, mode %04o: run as root, or as that account or group",
				path, stat.Uid, stat.Gid, stat.Mode&0o7777)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return ""
		}
		path = parent
	}
}

// ownership is what everything below the state directory is given.
type ownership struct {
	uid, gid uint32
	dir      fs.FileMode
	file     fs.FileMode
}

// ownershipOf reads it off the state directory: its owner and group, 0750 and
// 0640, and write permission for the group and the setgid bit where the state
// directory has them.
func ownershipOf(info fs.FileInfo) ownership {
	give := ownership{dir: 0o750, file: 0o640}
	stat := info.Sys().(*syscall.Stat_t)
	give.uid, give.gid = stat.Uid, stat.Gid
	if info.Mode()&0o020 != 0 {
		give.dir |= 0o020
		give.file |= 0o020
	}
	give.dir |= info.Mode() & fs.ModeSetgid
	return give
}

// apply gives a file that this process has just made to the right account. A
// process that may not do so goes on: its event matters more than who owns it,
// and a drainer that cannot read it says so.
func (o ownership) apply(file *os.File, mode fs.FileMode) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	// Nobody but its maker can own a file that this process has just made;
	// one with another owner was put in its place and is left alone.
	if int(stat.Uid) != os.Geteuid() {
		return nil
	}
	// The mode first: after chown the file may no longer be this process's.
	if err := file.Chmod(mode); err != nil {
		return err
	}
	switch {
	case stat.Uid != o.uid && os.Geteuid() == 0:
		err = file.Chown(int(o.uid), int(o.gid))
	case stat.Gid != o.gid:
		err = file.Chown(-1, int(o.gid))
	default:
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if mode&fs.ModeSetgid != 0 {
		// chown takes the bit away from who has no CAP_FSETID.
		_ = file.Chmod(mode)
	}
	return nil
}

// makeDir makes a directory unless it is there. A link or a file in its place
// is an error.
func (o ownership) makeDir(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = root.Mkdir(name, o.dir.Perm())
		if errors.Is(err, fs.ErrExist) {
			return nil // made by another process just now
		}
		if err != nil {
			return err
		}
		dir, err := openDir(root, name)
		if err != nil {
			return err
		}
		defer dir.Close()
		if err := o.apply(dir, o.dir); err != nil {
			return err
		}
		return syncTop(root)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is in its place; move it away", syscall.ENOTDIR, describe(info))
	}
	if o.unfinished(info) {
		dir, err := openDir(root, name)
		if err != nil {
			return err
		}
		defer dir.Close()
		return o.apply(dir, o.dir)
	}
	return nil
}

// syncTop makes the names in a directory durable: an event is of no use in one
// that a power cut takes away.
func syncTop(root *os.Root) error {
	dir, err := openDir(root, ".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// unfinished reports whether this account made the directory and was killed
// before it could give it its owner and mode.
func (o ownership) unfinished(info fs.FileInfo) bool {
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid) == os.Geteuid() &&
		(stat.Uid != o.uid && os.Geteuid() == 0 || info.Mode().Perm()&0o700 != 0o700)
}

// openDir opens a directory and nothing else: a FIFO in its place would hang
// the process until somebody writes to it.
func openDir(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
}

// createFile makes a new file for writing.
func (o ownership) createFile(root *os.Root, name string) (*os.File, error) {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, o.file.Perm())
	if err != nil {
		return nil, err
	}
	if err := o.apply(file, o.file); err != nil {
		file.Close()
		_ = root.Remove(name) // the first error is the one to tell
		return nil, err
	}
	return file, nil
}

// openStateDir opens the state directory and makes it, and what is missing
// above it, if it is not there.
func openStateDir(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeParents(dir, 0o750); err != nil {
			return nil, creating(dir, err)
		}
		root, err = os.OpenRoot(dir)
	}
	if err != nil {
		return nil, explain("open the state directory", dir, err)
	}
	return root, nil
}

func makeParents(dir string, mode fs.FileMode) error {
	if parent := filepath.Dir(dir); parent != dir {
		if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			if err := makeParents(parent, 0o755); err != nil {
				return err
			}
		}
	}
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// A parent that may be entered and not listed cannot be synced; it is not
	// for that that an event would be refused.
	if parent, err := os.Open(filepath.Dir(dir)); err == nil {
		_ = parent.Sync()
		parent.Close()
	}
	return os.Chmod(dir, mode) // the umask has cut the mode
}

// mayWrite asks the kernel whether this process could make a file in a
// directory, without making one.
func mayWrite(root *os.Root, name string) error {
	dir, err := openDir(root, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Faccessat(int(dir.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

func describe(info fs.FileInfo) string {
	switch {
	case info.Mode().IsRegular():
		return "a file"
	case info.IsDir():
		return "a directory"
	case info.Mode()&fs.ModeSymlink != 0:
		return "a symbolic link"
	case info.Mode()&fs.ModeNamedPipe != 0:
		return "a FIFO"
	}
	return "a special file (" + info.Mode().Type().String() + ")"
}

// tryLock takes the flock on a file, or returns nil if another holds it. The
// kernel releases it when the process ends, however it ends.
func (o ownership) tryLock(root *os.Root, name string) (*os.File, error) {
	file, err := o.openLock(root, name)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, err
	}
	return file, nil
}

// openLock opens a lock file and makes it if it is missing. It appears under
// its name only with its final mode and owner: another account must not meet
// it half made.
func (o ownership) openLock(root *os.Root, name string) (*os.File, error) {
	for range 3 {
		// Without O_NONBLOCK a FIFO planted here would hang the process.
		file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
		temp := name + "." + randomName()
		file, err = o.createFile(root, temp)
		if err != nil {
			return nil, err
		}
		file.Close()
		err = root.Link(temp, name)
		_ = root.Remove(temp) // an empty file left behind is harmless
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("lock file %s disappears again and again", name)
}

// unlock releases a lock. To close the file alone would not do while a process
// that was just forked still has it.
func unlock(lock *os.File) {
	_ = unix.Flock(int(lock.Fd()), unix.LOCK_UN) // the close does it as well
	lock.Close()
}

// waitLock is tryLock with patience: up to limit, or until ctx ends.
func (o ownership) waitLock(ctx context.Context, root *os.Root, name string, limit time.Duration) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The lock is held for a few milliseconds at a time.
	for pause := time.Millisecond; ; pause = min(2*pause, 16*time.Millisecond) {
		file, err := o.tryLock(root, name)
		if file != nil || err != nil {
			return file, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w (%w)", ErrLocked, ctx.Err())
		}
	}
}
