//go:build lab

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// lockPath is held for a whole run; the kernel lets go of it when its holder
// dies, however that happens.
const lockPath = cacheDir + "/lock"

// cgroupPrefix begins the names of the nodes' control groups.
const cgroupPrefix = "hacheck-lab-"

// lockLab makes sure that only one lab runs on this machine.
func lockLab() (*flock.Flock, error) {
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(lockPath)
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", lockPath, err)
	}
	if !locked {
		return nil, fmt.Errorf("another lab runs on this machine (it holds %s)", lockPath)
	}
	return lock, nil
}

// cgroupMounts finds the hierarchies systemd keeps its units in: cgroup v2
// and, on machines that still have it, the v1 hierarchy named systemd.
func cgroupMounts() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var mounts []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		named := slices.Contains(strings.Split(fields[3], ","), "name=systemd")
		if fields[2] == "cgroup2" || fields[2] == "cgroup" && named {
			mounts = append(mounts, fields[1])
		}
	}
	if len(mounts) == 0 {
		return nil, errors.New("no cgroup hierarchy for systemd is mounted below /sys/fs/cgroup")
	}
	return mounts, nil
}

// cpuShare is what the lab gets of a busy machine, 1024 being everybody's
// default: a node of a real pair does not wait for a neighbour's compiler, and
// its times would say nothing if it did.
const cpuShare = 64 * 1024

// runCgroup is the lab's own control group for the processor, where the
// machine has that controller; empty if not.
func runCgroup() string {
	data, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		dir := filepath.Join(fields[1], strings.TrimSuffix(cgroupPrefix, "-"))
		if fields[2] == "cgroup" && slices.Contains(strings.Split(fields[3], ","), "cpu") {
			return dir
		}
		controllers, _ := os.ReadFile(filepath.Join(fields[1], "cgroup.subtree_control"))
		if fields[2] == "cgroup2" && slices.Contains(strings.Fields(string(controllers)), "cpu") {
			return dir
		}
	}
	return ""
}

// preferCgroup gives a control group the lab's share of the processor. Not
// every machine lets it, and the lab runs without, too.
func preferCgroup(dir string) {
	_ = os.WriteFile(filepath.Join(dir, "cpu.shares"), []byte(fmt.Sprint(cpuShare)), 0o644)
	_ = os.WriteFile(filepath.Join(dir, "cpu.weight"), []byte("10000"), 0o644)
}

// makeCgroups gives a node control groups of its own. Without them two nodes
// started from one shell would share theirs, and "systemctl kill" on one would
// reach the other.
func makeCgroups(host string) ([]string, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	var made []string
	for _, mount := range mounts {
		dir := filepath.Join(mount, cgroupPrefix+strings.TrimPrefix(host, "lab-"))
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("making control group: %w", err)
		}
		preferCgroup(dir)
		made = append(made, dir)
	}
	return made, nil
}

func labCgroups() []string {
	mounts, _ := cgroupMounts()
	var found []string
	for _, mount := range mounts {
		dirs, _ := filepath.Glob(filepath.Join(mount, cgroupPrefix+"*"))
		found = append(found, dirs...)
	}
	return found
}

// removeCgroup removes a control group and those below it, deepest first.
func removeCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, path := range slices.Backward(dirs) {
		if removed := os.Remove(path); removed != nil && !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}

// labMounts are the mounts below runDir, innermost last.
func labMounts() []string {
	data, _ := os.ReadFile("/proc/self/mounts")
	var found []string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], runDir+"/") {
			found = append(found, fields[1])
		}
	}
	return found
}

// labProcesses are the processes in the lab's control groups: nspawn and all
// that the nodes run.
func labProcesses() []int {
	var pids []int
	for _, top := range labCgroups() {
		_ = filepath.WalkDir(top, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil
			}
			data, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(data)) {
				var pid int
				if _, err := fmt.Sscan(field, &pid); err == nil && pid != 0 && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// leftovers names everything of a lab that is still on this machine.
func leftovers() []string {
	var found []string
	for _, pid := range labProcesses() {
		found = append(found, fmt.Sprintf("process %d", pid))
	}
	for _, mount := range labMounts() {
		found = append(found, "mount "+mount)
	}
	for _, dir := range labCgroups() {
		found = append(found, "control group "+dir)
	}
	for _, path := range []string{filepath.Join("/run/netns", nsName), runDir} {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// sweep removes what is left of a lab: nothing after an orderly end, all of it
// after a killed run. The caller holds the lab's lock, so nobody uses it.
func sweep() error {
	deadline := time.Now().Add(10 * time.Second)
	for pids := labProcesses(); len(pids) > 0; pids = labProcesses() {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v in the lab's control groups do not end", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
	var errs []error
	for _, mount := range slices.Backward(labMounts()) {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", mount, err))
		}
	}
	for _, dir := range labCgroups() {
		// The kernel empties a group a moment after its last process ended.
		var err error
		for range 100 {
			if err = removeCgroup(dir); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		errs = append(errs, err)
	}
	if _, err := os.Lstat(filepath.Join("/run/netns", nsName)); err == nil {
		errs = append(errs, netns.DeleteNamed(nsName))
	}
	if len(labMounts()) == 0 {
		errs = append(errs, os.RemoveAll(runDir))
	}
	return errors.Join(errs...)
}
