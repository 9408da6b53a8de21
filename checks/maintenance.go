package checks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The length of a maintenance. A longer one would be forgotten, and with it the
// node that holds nothing back when its peer dies.
const (
	MinMaintenance = time.Minute
	MaxMaintenance = 7 * 24 * time.Hour
)

const (
	maintenanceFile = "maintenance.json"
	// maxMaintenanceFile bounds it; what is written has less than a kilobyte.
	maxMaintenanceFile = 16 << 10
	// maxMaintenanceText bounds the texts of a maintenance in bytes.
	maxMaintenanceText = 200
)

// Maintenance is a planned disturbance of this node. It is kept in the state
// directory, because the maintenance of a kernel has a reboot in its middle,
// and copied to the run directory for checks that run as an account which may
// not enter the state directory.
type Maintenance struct {
	// Since is when it was declared, Until when it ends by itself, at most
	// MaxMaintenance later.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Reason is what the person gave, By who that was; both may be empty.
	// They have one line and at most 200 bytes.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	// Drain lets every check fail, so that keepalived gives the VIPs away.
	Drain bool `json:"drain"`
	// Mute keeps notifications back until it is over.
	Mute bool `json:"mute"`
}

// errDamaged marks a file that is there and says nothing, errStranger one of
// somebody who has no say here.
var (
	errDamaged  = errors.New("the file is damaged")
	errStranger = errors.New("whoever wrote the file has no say here")
)

// InForce reports whether the maintenance covers the time. A clock that was set
// back since the beginning can make it last twice as long at most: what begins
// later than that is an error and not in force.
func (m Maintenance) InForce(now time.Time) (bool, error) {
	if !now.Before(m.Until) {
		return false, nil
	}
	if now.Before(m.Since.Add(-m.Until.Sub(m.Since))) {
		return false, fmt.Errorf("it begins at %s, but it is %s now (was the clock set back?)",
			m.Since.Format(time.RFC3339), now.In(m.Since.Location()).Format(time.RFC3339))
	}
	return true, nil
}

// check tells whether the times are possible ones.
func (m Maintenance) check() error {
	switch {
	case m.Since.IsZero():
		return errors.New("it has no beginning")
	case m.Until.IsZero():
		return errors.New("it has no end")
	case !m.Until.After(m.Since):
		return errors.New("it ends before it begins")
	case m.Until.Sub(m.Since) > MaxMaintenance:
		return fmt.Errorf("it lasts longer than %s", MaxMaintenance)
	}
	return nil
}

// CurrentMaintenance returns the maintenance in force at the time. Without one
// it costs the attempt to open one file. The file of the state directory counts
// or, where this account may not look for it, its copy in the run directory.
//
// What cannot be read or is damaged is told in the error and is never in force:
// a broken file must not take a node out of service.
func CurrentMaintenance(stateDir, runDir string, now time.Time) (m Maintenance, ok bool, err error) {
	dir := stateDir
	m, _, err = readMaintenance(dir)
	if errors.Is(err, fs.ErrPermission) {
		dir = runDir
		m, _, err = readMaintenance(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Maintenance{}, false, nil
	}
	if err == nil {
		ok, err = m.InForce(now)
	}
	if err != nil {
		return Maintenance{}, false, fmt.Errorf("no maintenance is in force, for %s cannot be used: %w ('hacheck maintenance off' removes it)",
			filepath.Join(dir, maintenanceFile), err)
	}
	if !ok {
		return Maintenance{}, false, nil
	}
	return m, true, nil
}

// readMaintenance reads the file in a directory and gives its bytes as well.
// Nothing that somebody may have put in its place hangs it. Others than its owner
// may be allowed to write into the directory, HAProxy's own workers among them:
// only root's files and the owner's take a node out of service.
func readMaintenance(dir string) (Maintenance, []byte, error) {
	file, err := os.OpenFile(filepath.Join(dir, maintenanceFile), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			err = fmt.Errorf("%w: it is a symbolic link", errDamaged)
		}
		return Maintenance{}, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Maintenance{}, nil, err
	}
	if !info.Mode().IsRegular() {
		return Maintenance{}, nil, fmt.Errorf("%w: it is not a regular file", errDamaged)
	}
	folder, err := os.Stat(dir)
	if err != nil {
		return Maintenance{}, nil, err
	}
	if writer, owner := ownerOf(info), ownerOf(folder); writer != 0 && writer != owner {
		return Maintenance{}, nil, fmt.Errorf("%w: it belongs to uid %d, who is neither root nor the owner of the directory (uid %d)", errStranger, writer, owner)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxMaintenanceFile+1))
	if err != nil {
		return Maintenance{}, nil, err
	}
	m, err := parseMaintenance(content)
	if err != nil {
		return Maintenance{}, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return m, content, nil
}

func ownerOf(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// parseMaintenance reads what SaveMaintenance wrote. Its texts end in mails and
// terminals, and whoever owns the directory may have written something else.
func parseMaintenance(content []byte) (Maintenance, error) {
	if len(content) > maxMaintenanceFile {
		return Maintenance{}, fmt.Errorf("it is larger than %d bytes", maxMaintenanceFile)
	}
	var m Maintenance
	if err := json.Unmarshal(content, &m); err != nil {
		return Maintenance{}, err
	}
	if err := m.check(); err != nil {
		return Maintenance{}, err
	}
	m.Reason = oneLineMax(m.Reason, maxMaintenanceText)
	m.By = oneLineMax(m.By, maxMaintenanceText)
	return m, nil
}

// SaveMaintenance declares a maintenance, in place of the one before, durably:
// it survives a power cut. The state directory is created when only its last
// element is missing; only root and the directory's owner can declare one.
// RestoreMaintenance must follow, for the copy.
func SaveMaintenance(stateDir string, m Maintenance) error {
	if err := saveMaintenance(stateDir, m); err != nil {
		return fmt.Errorf("keep the maintenance in %s: %w", stateDir, err)
	}
	return nil
}

func saveMaintenance(stateDir string, m Maintenance) error {
	if err := m.check(); err != nil {
		return err
	}
	m.Reason = oneLineMax(m.Reason, maxMaintenanceText)
	m.By = oneLineMax(m.By, maxMaintenanceText)
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	dir, err := openOrMake(stateDir, 0o750)
	if err != nil {
		return err
	}
	defer dir.Close()
	folder, err := dir.Stat(".")
	if err != nil {
		return err
	}
	if writer, owner := uint32(os.Geteuid()), ownerOf(folder); writer != 0 && writer != owner {
		return fmt.Errorf("no check would obey it: only root and the owner of the directory (uid %d) can declare one (running as uid %d)", owner, writer)
	}
	if err := replaceFile(dir, maintenanceFile, append(content, '\n'), true); err != nil {
		return err
	}
	return syncDir(dir)
}

// ClearMaintenance removes the declaration, whatever is in the file; that there
// is none is no error. RestoreMaintenance must follow, for the copy.
func ClearMaintenance(stateDir string) error {
	if err := clearMaintenance(stateDir); err != nil {
		return fmt.Errorf("end the maintenance in %s: %w", stateDir, err)
	}
	return nil
}

func clearMaintenance(stateDir string) error {
	dir, err := os.OpenRoot(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Remove(maintenanceFile); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(dir)
}

// RestoreMaintenance makes the copy in the run directory what the state
// directory has: after a change, and after a reboot, which empties the run
// directory. An account that may not look into the state directory changes
// nothing, and that is no error. Where there is nothing to do it costs the attempt
// to open two files. What has ended stays until the next one is declared: whoever
// removed it could take away one that is declared in that moment.
func RestoreMaintenance(ctx context.Context, stateDir, runDir string) error {
	if err := restoreMaintenance(ctx, stateDir, runDir); err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("copy the maintenance from %s to %s: %w", stateDir, runDir, err)
	} else if err != nil {
		return fmt.Errorf("copy the maintenance from %s to %s (running as uid %d): %w", stateDir, runDir, os.Geteuid(), err)
	}
	return nil
}

func restoreMaintenance(ctx context.Context, stateDir, runDir string) error {
	if _, differs, err := compareCopy(stateDir, runDir); err != nil || !differs {
		return err
	}
	// Of two at once the later must not copy what the earlier one replaced.
	lock, err := lockFolder(ctx, stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return removeCopy(runDir)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	content, differs, err := compareCopy(stateDir, runDir)
	if err != nil || !differs {
		return err
	}
	if content == nil {
		return removeCopy(runDir)
	}
	dir, err := openOrMake(runDir, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close()
	return replaceFile(dir, maintenanceFile, content, false)
}

// compareCopy returns what the copy should hold, nil if it should not be there,
// and whether it does not.
func compareCopy(stateDir, runDir string) (content []byte, differs bool, err error) {
	_, content, err = readMaintenance(stateDir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, false, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errDamaged), errors.Is(err, errStranger):
		content = nil
	case err != nil:
		return nil, false, err
	}
	_, have, err := readMaintenance(runDir)
	if errors.Is(err, fs.ErrNotExist) {
		return content, content != nil, nil
	}
	// A copy that cannot be read or used is replaced.
	return content, err != nil || content == nil || !bytes.Equal(content, have), nil
}

func removeCopy(runDir string) error {
	dir, err := os.OpenRoot(runDir)
	if err == nil {
		defer dir.Close()
		err = dir.Remove(maintenanceFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// openOrMake opens a directory and makes it when only its last element is
// missing, with the mode whatever the umask is.
func openOrMake(path string, mode fs.FileMode) (*os.Root, error) {
	if err := os.Mkdir(path, mode); err == nil {
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.OpenRoot(path)
}

// syncDir makes the names in a directory durable.
func syncDir(dir *os.Root) error {
	folder, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
