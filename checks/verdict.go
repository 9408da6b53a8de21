package checks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// verdictDir is the folder of the run directory that holds a file for
	// each check.
	verdictDir = "verdict"
	// maxVerdict bounds one file. Without its parts a verdict has about a
	// kilobyte.
	maxVerdict = 1 << 20
	// maxVerdicts bounds how many files LastVerdicts reads.
	maxVerdicts = 1000
)

// SaveVerdict keeps v as the last verdict of the check it names, in
// runDir/verdict. It replaces the file in one step, so that a reader sees the
// old or the new one, and two at once do not harm each other. The run
// directory is created when only its last element is missing.
//
// The file can be read by everybody (0644) and the directories entered (0755)
// whatever the umask is: keepalived runs scripts with 0177. Nothing is synced,
// for the run directory is gone after a restart anyway. No symbolic link is
// followed below runDir. An error here says nothing about the check: a caller
// reports it as a warning.
func SaveVerdict(runDir string, v Verdict) error {
	if err := saveVerdict(runDir, v); err != nil {
		return fmt.Errorf("keep the verdict of %q in %s: %w", v.Name, runDir, err)
	}
	return nil
}

func saveVerdict(runDir string, v Verdict) error {
	file, err := verdictFile(v.Name)
	if err != nil {
		return err
	}
	content, err := json.Marshal(v)
	if err == nil && len(content) >= maxVerdict {
		v.Parts = nil
		content, err = json.Marshal(v)
	}
	if err != nil {
		return err
	}
	dir, err := openVerdicts(runDir, true)
	if err != nil {
		return err
	}
	defer dir.Close()

	return replaceFile(dir, file, append(content, '\n'), false)
}

// LockVerdicts keeps other holders of the lock in runDir out until release is
// called, so that of several runs that see a verdict change one tells it. It
// waits until ctx ends. Nobody needs the lock to save or to load a verdict.
func LockVerdicts(ctx context.Context, runDir string) (release func(), err error) {
	dir, err := openVerdicts(runDir, true)
	if err == nil {
		dir.Close()
		var lock *os.File
		if lock, err = lockFolder(ctx, filepath.Join(runDir, verdictDir)); err == nil {
			return func() { lock.Close() }, nil
		}
	}
	return nil, fmt.Errorf("lock the verdicts in %s: %w", runDir, err)
}

// replaceFile writes a file in one step, so that a reader sees the old or the
// new one. A durable one is on the disk before it gets its name.
func replaceFile(dir *os.Root, name string, content []byte, durable bool) error {
	// A name of its own for each writer; a leading dot hides it from readers.
	temporary := "." + strconv.FormatUint(rand.Uint64(), 36) + ".tmp"
	if err := writeNew(dir, temporary, content, durable); err != nil {
		return err
	}
	if err := dir.Rename(temporary, name); err != nil {
		dir.Remove(temporary)
		return err
	}
	return nil
}

// writeNew writes a file that must not exist yet and leaves none on an error.
func writeNew(dir *os.Root, name string, content []byte, durable bool) error {
	file, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(0o644) // the umask may have taken bits away
	}
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		dir.Remove(name)
	}
	return err
}

// LoadVerdict returns the last verdict of the check called name. The error is
// fs.ErrNotExist when none was kept, and says so when the file is damaged.
func LoadVerdict(runDir, name string) (Verdict, error) {
	v, err := loadNamed(runDir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Verdict{}, fmt.Errorf("no verdict of %q is kept in %s (has the check run?): %w", name, runDir, fs.ErrNotExist)
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("read the verdict of %q in %s: %w", name, runDir, err)
	}
	return v, nil
}

// StatVerdict describes the file in which the last verdict of the check called
// name is kept. Every SaveVerdict makes another file: os.SameFile and the time of
// its change tell whether a verdict that was loaded is still the last one.
func StatVerdict(runDir, name string) (fs.FileInfo, error) {
	file, err := verdictFile(name)
	if err != nil {
		return nil, err
	}
	return os.Lstat(filepath.Join(runDir, verdictDir, file))
}

func loadNamed(runDir, name string) (Verdict, error) {
	file, err := verdictFile(name)
	if err != nil {
		return Verdict{}, err
	}
	dir, err := openVerdicts(runDir, false)
	if err != nil {
		return Verdict{}, err
	}
	defer dir.Close()
	return readVerdict(dir, file)
}

// LastVerdicts returns the last verdict of every check that ran, the newest
// first. Files that cannot be read are left out and told in the error, beside
// the verdicts that could be read. A run directory in which nothing was kept
// yet has no verdicts and is no error.
func LastVerdicts(runDir string) ([]Verdict, error) {
	dir, err := openVerdicts(runDir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the verdicts in %s: %w", runDir, err)
	}
	defer dir.Close()
	listing, err := dir.Open(".")
	if err != nil {
		return nil, fmt.Errorf("read the verdicts in %s: %w", runDir, err)
	}
	defer listing.Close()
	names, err := listing.Readdirnames(2 * maxVerdicts)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the verdicts in %s: %w", runDir, err)
	}

	var verdicts []Verdict
	var problems []error
	for _, name := range names {
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".json") || len(verdicts) == maxVerdicts {
			continue
		}
		v, err := readVerdict(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone since it was listed
		case err != nil:
			problems = append(problems, fmt.Errorf("read the verdict in %s: %w", filepath.Join(runDir, verdictDir, name), err))
		default:
			verdicts = append(verdicts, v)
		}
	}
	slices.SortFunc(verdicts, func(a, b Verdict) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.Name, b.Name))
	})
	return verdicts, errors.Join(problems...)
}

// openVerdicts opens runDir/verdict, which must not be a symbolic link, and
// creates what is missing when it is to be written.
func openVerdicts(runDir string, create bool) (*os.Root, error) {
	var run *os.Root
	var err error
	if create {
		run, err = openOrMake(runDir, 0o755)
	} else {
		run, err = os.OpenRoot(runDir)
	}
	if err != nil {
		return nil, err
	}
	defer run.Close()
	if create {
		if err := makeVerdicts(run); err != nil {
			return nil, err
		}
	}
	info, err := run.Lstat(verdictDir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(runDir, verdictDir), Err: syscall.ENOTDIR}
	}
	return run.OpenRoot(verdictDir)
}

// makeVerdicts creates the folder for verdicts. It gets the owner of the run
// directory, so that what root begins the script user can go on with. Mode and
// owner are changed through the opened folder: whoever owns the run directory
// could put something else in its place meanwhile.
func makeVerdicts(run *os.Root) error {
	err := run.Mkdir(verdictDir, 0o755)
	created := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	folder, err := run.OpenFile(verdictDir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer folder.Close()
	have, err := folder.Stat()
	if err != nil {
		return err
	}
	// Another run may be between creating it and this very step.
	if created || have.Mode().Perm()&0o700 != 0o700 && owner(have) == os.Geteuid() {
		if err := folder.Chmod(0o755); err != nil {
			return err
		}
	}
	parent, err := run.Stat(".")
	if err != nil {
		return err
	}
	if created && os.Geteuid() == 0 && owner(parent) != 0 {
		return folder.Chown(owner(parent), -1)
	}
	return nil
}

// owner returns the user id of a file.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// readVerdict reads and judges one file. Opening does not wait for a writer,
// should somebody have put a FIFO there.
func readVerdict(dir *os.Root, name string) (Verdict, error) {
	if info, err := dir.Lstat(name); err != nil {
		return Verdict{}, err
	} else if !info.Mode().IsRegular() {
		return Verdict{}, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Verdict{}, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxVerdict+1))
	if err != nil {
		return Verdict{}, err
	}
	v, err := parseVerdict(content)
	if err != nil {
		return Verdict{}, err
	}
	if want, err := verdictFile(v.Name); err != nil || want != name {
		return Verdict{}, fmt.Errorf("%s is damaged: it holds the verdict of %q", name, v.Name)
	}
	return v, nil
}

// parseVerdict reads what SaveVerdict wrote. Whoever owns the run directory
// may have written something else, and it ends in mails and terminals.
func parseVerdict(content []byte) (Verdict, error) {
	if len(content) > maxVerdict {
		return Verdict{}, fmt.Errorf("the file is damaged: it is larger than %d bytes", maxVerdict)
	}
	var v Verdict
	if err := json.Unmarshal(content, &v); err != nil {
		return Verdict{}, fmt.Errorf("the file is damaged: %w", err)
	}
	switch {
	case v.Name == "":
		return Verdict{}, errors.New("the file is damaged: it names no check")
	case v.Status < Pass || v.Status > Unknown:
		return Verdict{}, errors.New("the file is damaged: it has no status")
	case v.Time.IsZero():
		return Verdict{}, errors.New("the file is damaged: it has no time")
	}
	v.Reason = oneLine(v.Reason)
	clean(v.Parts)
	return v, nil
}

// clean makes the texts of parts fit to be shown.
func clean(parts []Result) {
	for i := range parts {
		parts[i].Name = oneLine(parts[i].Name)
		parts[i].Reason = oneLine(parts[i].Reason)
		clean(parts[i].Parts)
	}
}

// verdictFile returns the file name for a check's name: every name gets its
// own, none leaves the folder, and none begins with a dot.
func verdictFile(name string) (string, error) {
	if name == "" {
		return "", errors.New("a verdict names no check")
	}
	escaped := url.PathEscape(name)
	if escaped[0] == '.' {
		escaped = "%2E" + escaped[1:]
	}
	// A file name has at most 255 bytes. ~ is escaped nowhere else, so that a
	// short name cannot be mistaken for a long one's.
	escaped = strings.ReplaceAll(escaped, "~", "%7E")
	if len(escaped) > 200 {
		sum := sha256.Sum256([]byte(name))
		escaped = escaped[:150] + "~" + hex.EncodeToString(sum[:8])
	}
	return escaped + ".json", nil
}
