package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hacheck/notify"
)

// TestMain lets the test binary stand in for other processes, see child.
func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}

// event makes an event of an instance, n milliseconds from now.
func event(name string, n int) notify.Event {
	made := time.Now().Add(time.Duration(n) * time.Millisecond)
	return notify.Event{
		ID: fmt.Sprintf("%s-%03d", strings.ReplaceAll(name, "_", "-"), n), Time: made, Host: "lb1",
		Kind: notify.Instance, Name: name, State: notify.Master, Known: true,
		VIPs: []notify.VIP{{Address: "192.0.2.10", Prefix: 24, Instance: name, Presence: notify.Present}},
	}
}

func open(t testing.TB, dir string) *Spool {
	t.Helper()
	spool, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { spool.Close() })
	return spool
}

func put(t testing.TB, spool *Spool, events ...notify.Event) {
	t.Helper()
	for _, event := range events {
		if err := spool.Put(event); err != nil {
			t.Fatal(err)
		}
	}
}

func drain(t testing.TB, spool *Spool, policy Policy, channels ...notify.Notifier) Report {
	t.Helper()
	report, err := spool.Drain(context.Background(), channels, policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range report.Warnings {
		t.Errorf("warning: %v", warning)
	}
	return report
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems and changes accounts: run the tests as root")
	}
}

// wantError demands a class and the words an operator acts on.
func wantError(t *testing.T, err, class error, words ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("error %v is not %q", err, class)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

// withUmask sets keepalived's umask for scripts while f runs.
func withUmask(f func()) {
	defer syscall.Umask(syscall.Umask(0o177))
	f()
}

func modes(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(dir, path)
		if strings.HasSuffix(rel, ".json") {
			rel = filepath.Dir(rel) + "/*.json"
		}
		found[rel] = fmt.Sprintf("%04o %d:%d", stat.Mode&0o7777, stat.Uid, stat.Gid)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestModesAndOwnersDoNotDependOnUmask(t *testing.T) {
	needRoot(t)
	for _, test := range []struct {
		name                     string
		mode                     uint32
		uid, gid                 int
		wantTop, wantDir, wantFi string
	}{
		{"missing", 0, 0, 0, "0750 0:0", "0750 0:0", "0640 0:0"},
		{"owned by an account", 0o750, 61234, 61235, "0750 61234:61235", "0750 61234:61235", "0640 61234:61235"},
		{"shared with a group", 0o2770, 61234, 61235, "2770 61234:61235", "2770 61234:61235", "0660 61234:61235"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "lib", "hacheck")
			if test.mode != 0 {
				if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, test.uid, test.gid), unix.Chmod(dir, test.mode)); err != nil {
					t.Fatal(err)
				}
			}
			withUmask(func() {
				spool := open(t, dir)
				put(t, spool, event("VI_1", 1))
				if err := spool.SaveState(event("VI_1", 1)); err != nil {
					t.Fatal(err)
				}
				drain(t, spool, Policy{}, &fake{name: "mail", answer: fail("no route")})
			})
			want := map[string]string{".": test.wantTop}
			for _, name := range []string{"spool", "spool/queue", "spool/tmp", "spool/dead", "states"} {
				want[name] = test.wantDir
			}
			for _, name := range []string{"spool/queue/*.json", "spool/lock", "spool/change", "states/*.json", "states/.lock"} {
				want[name] = test.wantFi
			}
			got := modes(t, dir)
			for name, mode := range want {
				if got[name] != mode {
					t.Errorf("%s is %q, want %s", name, got[name], mode)
				}
			}
			if len(got) != len(want) {
				t.Errorf("found %v, want only %v", got, want)
			}
		})
	}
}

func TestPutWritesOneSortableFile(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	first := event("VI_1", 1)
	first.Time = time.Unix(0, 42)
	first.ID = "b"
	ancient := event("VI_1", 2)
	ancient.Time, ancient.ID = time.Date(1066, 10, 14, 0, 0, 0, 0, time.UTC), "c"
	put(t, spool, event("VI_2", 3), first, first, ancient)

	names, err := spool.names(queueDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 3 || names[0] != "00000000000000000000-c.json" || names[1] != "00000000000000000042-b.json" {
		t.Errorf("queue has %q", names)
	}
	if left, _ := spool.names(tmpDir); len(left) != 0 {
		t.Errorf("tmp has %q", left)
	}
	data, err := os.ReadFile(filepath.Join(dir, "spool", "queue", names[1]))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version int
		Event   notify.Event
	}
	if err := json.Unmarshal(data, &file); err != nil || file.Version != 1 || file.Event.ID != "b" {
		t.Errorf("the entry is %s (%v)", data, err)
	}
}

func TestPutRefusesIDsThatAreNoFileNames(t *testing.T) {
	spool := open(t, t.TempDir())
	for _, id := range []string{"", "../../etc/cron.d/x", "a b", "a\r\nBcc: x", "ä", strings.Repeat("a", 129)} {
		bad := event("VI_1", 1)
		bad.ID = id
		if err := spool.Put(bad); err == nil || !strings.Contains(err.Error(), "event ID") {
			t.Errorf("Put with ID %q: %v", id, err)
		}
	}
	huge := event("VI_1", 1)
	huge.Notes = []string{strings.Repeat("x", maxEntry)}
	if err := spool.Put(huge); err == nil || !strings.Contains(err.Error(), "at most 983040 are kept") {
		t.Errorf("Put of a huge event: %v", err)
	}
}

func TestNewIDSortsAndIsUnique(t *testing.T) {
	now := time.Date(2026, 3, 14, 10, 26, 53, 589_793_238, time.FixedZone("CET", 3600))
	var ids []string
	for n := range 100 {
		ids = append(ids, NewID(now.Add(time.Duration(n)*20*time.Microsecond)))
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 100 {
		t.Errorf("IDs do not sort: %q", ids)
	}
	if !strings.HasPrefix(ids[0], "20260314T092653589Z-") || checkID(ids[0]) != nil {
		t.Errorf("ID %q", ids[0])
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	needRoot(t)
	t.Run("file in the way", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "spool"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		wantError(t, err, ErrCannotCreate, filepath.Join(dir, "spool"), "a file is in its place")
	})
	t.Run("link in the way", func(t *testing.T) {
		dir, elsewhere := t.TempDir(), t.TempDir()
		if err := os.Symlink(elsewhere, filepath.Join(dir, "spool")); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		wantError(t, err, ErrCannotCreate, "a symbolic link is in its place")
		if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
			t.Errorf("the link was followed: %v", left)
		}
	})
	t.Run("read-only file system", func(t *testing.T) {
		dir := mountTmpfs(t, "")
		open(t, dir).Close()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		wantError(t, err, ErrReadOnly, dir, "remount it writable")
		fresh := filepath.Join(dir, "fresh")
		_, err = Open(fresh)
		wantError(t, err, ErrReadOnly, "cannot be created", fresh)
	})
	t.Run("another account's directory", func(t *testing.T) {
		dir := openToAll(t)
		open(t, dir).Close()
		out := runChild(t, asNobody, "open", "dir="+dir)
		for _, word := range []string{"not permitted", "uid 61234", "belongs to uid 0, gid 0, mode 0750: run as root, or as that account or group"} {
			if !strings.Contains(out, word) {
				t.Errorf("the unprivileged process says %q, not %q", out, word)
			}
		}
	})
	t.Run("no permission to create", func(t *testing.T) {
		dir := openToAll(t)
		out := runChild(t, asNobody, "open", "dir="+filepath.Join(dir, "new"))
		for _, word := range []string{"cannot be created", "not permitted", "uid 61234"} {
			if !strings.Contains(out, word) {
				t.Errorf("the unprivileged process says %q, not %q", out, word)
			}
		}
	})
}

// openToAll makes a directory that every account can reach; t.TempDir's
// parents are private.
func openToAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spool-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a tmpfs (the test needs CAP_SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill uses up the space of a file system.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for {
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return func() { os.Remove(path) }
		}
	}
}

func TestFullDisk(t *testing.T) {
	dir := mountTmpfs(t, "size=256k")
	spool := open(t, dir)
	waiting := event("VI_1", 1)
	put(t, spool, waiting)
	free := fill(t, dir)

	err := spool.Put(event("VI_1", 2))
	wantError(t, err, ErrDiskFull, "VI-1-002", dir, "free space")
	if left, _ := spool.names(tmpDir); len(left) != 0 {
		t.Errorf("Put left %q in tmp", left)
	}

	// What is queued still goes out, once: the outcome of the channel that
	// works is kept although there is no space for it.
	mail, hook := &fake{name: "mail"}, &fake{name: "hook", answer: fail("no route")}
	for range 3 {
		if _, err := spool.Drain(context.Background(), []notify.Notifier{mail, hook}, Policy{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := mail.seen(); !slices.Equal(got, []string{waiting.ID}) {
		t.Errorf("on the full disk mail got %q, want one", got)
	}
	free()
	hook.answer = nil
	report := drain(t, spool, Policy{IgnoreBackoff: true}, mail, hook)
	if report.Remaining != 0 || len(mail.seen()) != 1 {
		t.Errorf("after it: %d remain, mail has %q", report.Remaining, mail.seen())
	}
	if names, _ := spool.names(queueDir); len(names) != 0 {
		t.Errorf("the queue keeps %q", names)
	}
}

func TestFullDiskWithoutInodes(t *testing.T) {
	dir := mountTmpfs(t, "nr_inodes=16")
	spool := open(t, dir)
	for n := 0; ; n++ {
		err := spool.Put(event("VI_1", n))
		if err == nil && n < 16 {
			continue
		}
		wantError(t, err, ErrDiskFull, "inodes")
		break
	}
}

func TestReadOnlyDrainDeliversNothing(t *testing.T) {
	dir := mountTmpfs(t, "")
	spool := open(t, dir)
	put(t, spool, event("VI_1", 1))
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	err := spool.Put(event("VI_1", 2))
	wantError(t, err, ErrReadOnly, "VI-1-002", dir)
	// An outcome that cannot be recorded would be repeated by every drain.
	mail := &fake{name: "mail"}
	_, err = spool.Drain(context.Background(), []notify.Notifier{mail}, Policy{})
	wantError(t, err, ErrReadOnly, "drain the spool")
	if len(mail.seen()) != 0 {
		t.Errorf("mail got %q", mail.seen())
	}
}

func TestUnprivilegedAccountDrainsWhatRootWrote(t *testing.T) {
	needRoot(t)
	dir := openToAll(t)
	if err := errors.Join(os.Chown(dir, 61234, 61234), os.Chmod(dir, 0o750)); err != nil {
		t.Fatal(err)
	}
	peer := newPeer(t)
	withUmask(func() {
		spool := open(t, dir)
		put(t, spool, event("VI_1", 1), event("VI_2", 2))
		// Root drains as well: its records must stay writable for the other.
		peer.refuse("hook")
		drain(t, spool, Policy{}, peer.channel("mail"), peer.channel("hook"))
	})
	peer.refuse("")
	out := runChild(t, asNobody, "drain", "dir="+dir, "peer="+peer.address, "now=1")
	if !strings.Contains(out, "delivered 2, remaining 0") {
		t.Errorf("the unprivileged drain says %q", out)
	}
	if got := peer.count("mail"); got["VI-1-001"] != 1 || got["VI-2-002"] != 1 {
		t.Errorf("mail got %v", got)
	}
	if got := peer.count("hook"); got["VI-1-001"] != 1 || got["VI-2-002"] != 1 {
		t.Errorf("hook got %v", got)
	}
	// And the other way round.
	if out := runChild(t, asNobody, "put", "dir="+dir, "event=VI_3"); !strings.Contains(out, "put VI-3-000") {
		t.Fatalf("the unprivileged put says %q", out)
	}
	if report := drain(t, open(t, dir), Policy{}, peer.channel("mail")); report.Delivered != 1 || report.Remaining != 0 {
		t.Errorf("root's drain: %+v", report)
	}
}

func TestScriptUserAndDrainerShareASpoolThroughTheirGroup(t *testing.T) {
	needRoot(t)
	dir := openToAll(t)
	if err := errors.Join(os.Chown(dir, 61234, 61234), unix.Chmod(dir, 0o2770)); err != nil {
		t.Fatal(err)
	}
	scriptUser := account(&syscall.Credential{Uid: 61236, Gid: 61236, Groups: []uint32{61234}})
	peer := newPeer(t)
	for n, step := range []struct {
		who        account
		role, want string
	}{
		{scriptUser, "put", "put VI-0-000"},
		{asNobody, "drain", "delivered 2, remaining 0, busy false, warnings [], set aside [], error <nil>"},
		{asNobody, "put", "put VI-2-000"},
		{scriptUser, "drain", "delivered 2, remaining 0, busy false, warnings [], set aside [], error <nil>"},
	} {
		out := runChild(t, step.who, step.role, "dir="+dir, "peer="+peer.address, fmt.Sprintf("event=VI_%d", n))
		if strings.TrimSpace(out) != step.want {
			t.Errorf("step %d: %q, want %q", n, out, step.want)
		}
	}
}

func TestAnUnreadableEntryStaysAndIsTold(t *testing.T) {
	needRoot(t)
	dir := openToAll(t)
	if err := os.Chown(dir, 61234, 61234); err != nil {
		t.Fatal(err)
	}
	spool := open(t, dir)
	hidden := event("VI_1", 1)
	put(t, spool, hidden, event("VI_2", 2))
	path := spool.path("queue/" + entryName(hidden))
	if err := errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	peer := newPeer(t)
	out := runChild(t, asNobody, "drain", "dir="+dir, "peer="+peer.address)
	for _, want := range []string{"delivered 2, remaining 1", "read entry " + path, "uid 61234", "belongs to uid 0, gid 0, mode 0600"} {
		if !strings.Contains(out, want) {
			t.Errorf("the drain says %q, not %q", out, want)
		}
	}
	if report := drain(t, spool, Policy{}, peer.channel("mail"), peer.channel("hook")); report.Delivered != 2 {
		t.Errorf("root's drain: %+v", report)
	}
}

func TestPlantedLinksLeadNowhere(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	spool := open(t, dir)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	queue := filepath.Join(dir, "spool", "queue")
	linked := entryName(event("VI_1", 1))
	fifo := entryName(event("VI_1", 2))
	folder := entryName(event("VI_1", 3))
	err := errors.Join(
		os.Symlink(secret, filepath.Join(queue, linked)),
		syscall.Mkfifo(filepath.Join(queue, fifo), 0o600),
		os.Mkdir(filepath.Join(queue, folder), 0o700),
		os.Remove(filepath.Join(dir, "states")),
		os.Symlink(outside, filepath.Join(dir, "states")),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrCannotCreate) {
		t.Errorf("Open with a linked states directory: %v", err)
	}
	report := drain(t, spool, Policy{}, &fake{name: "mail"})
	want := map[string]string{
		linked + ".damaged": "it is a symbolic link, not a file",
		fifo + ".damaged":   "it is a FIFO, not a file",
		folder + ".damaged": "it is a directory, not a file",
	}
	for _, damaged := range report.SetAside {
		if want[damaged.Name] != damaged.Reason || damaged.Dir != "dead" {
			t.Errorf("set aside: %+v", damaged)
		}
		delete(want, damaged.Name)
	}
	if len(want) != 0 {
		t.Errorf("not set aside: %v", want)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "secret" {
		t.Errorf("the file outside: %q, %v", data, err)
	}
	// A FIFO in a directory's place gives an error and no wait.
	if err := errors.Join(os.RemoveAll(queue), syscall.Mkfifo(queue, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := spool.List(context.Background()); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("List of a FIFO: %v", err)
	}
	// A directory swapped for a link to the outside gives an error, no file.
	if err := errors.Join(os.RemoveAll(queue), os.Symlink(outside, queue)); err != nil {
		t.Fatal(err)
	}
	if err := spool.Put(event("VI_1", 4)); err == nil {
		t.Error("Put followed a link out of the state directory")
	}
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("outside has %v", left)
	}
}

func TestListRetryDrop(t *testing.T) {
	spool := open(t, t.TempDir())
	ctx := context.Background()
	put(t, spool, event("VI_1", 1), event("VI_2", 2), event("VI_3", 3))
	mail := &fake{name: "mail", answer: func(_ context.Context, event notify.Event) error {
		switch event.Name {
		case "VI_1":
			return &notify.PermanentError{Err: errors.New("550 no such user")}
		case "VI_2":
			return errors.New("451 try later")
		}
		return nil
	}}
	journal := &fake{name: "journal"}
	drain(t, spool, Policy{}, mail, journal)

	dead, damaged, err := spool.Dead(ctx)
	if err != nil || len(damaged) != 0 || len(dead) != 1 || dead[0].Event.ID != "VI-1-001" {
		t.Fatalf("dead letters: %+v, %+v, %v", dead, damaged, err)
	}
	if got := dead[0].Channels["mail"]; got.State != Dead || got.LastError != "550 no such user" || got.Attempts != 1 {
		t.Errorf("the dead letter's outcome: %+v", got)
	}
	waiting, damaged, err := spool.List(ctx)
	if err != nil || len(damaged) != 0 || len(waiting) != 2 || waiting[0].Event.ID != "VI-2-002" {
		t.Fatalf("queue: %+v, %+v, %v", waiting, damaged, err)
	}
	if got := waiting[0].Channels["mail"]; got.State != Pending || got.LastError != "451 try later" || !got.Next.After(got.LastAttempt) {
		t.Errorf("the waiting outcome: %+v", got)
	}

	mail.answer = nil
	if err := spool.Retry(ctx, "VI-1-001"); err != nil {
		t.Fatal(err)
	}
	if err := spool.Drop(ctx, "VI-2-002"); err != nil {
		t.Fatal(err)
	}
	if report := drain(t, spool, Policy{}, mail, journal); report.Remaining != 0 {
		t.Errorf("after retry and drop: %+v", report)
	}
	if got := mail.seen(); !slices.Equal(got, []string{"VI-1-001", "VI-2-002", "VI-1-001", "VI-3-003"}) {
		t.Errorf("mail got %q", got)
	}
	if got := journal.seen(); !slices.Equal(got, []string{"VI-1-001", "VI-2-002", "VI-3-003"}) {
		t.Errorf("journal got %q: what it had must not come again", got)
	}
	if dead, _, _ := spool.Dead(ctx); len(dead) != 0 {
		t.Errorf("dead letters after the retry: %+v", dead)
	}
	for _, do := range []func(context.Context, string) error{spool.Retry, spool.Drop} {
		wantError(t, do(ctx, "VI-9-009"), ErrNoEntry, "VI-9-009")
		if err := do(ctx, "../x"); err == nil || !strings.Contains(err.Error(), "event ID") {
			t.Errorf("a hostile ID: %v", err)
		}
	}
}

func TestDamagedFilesAreSetAsideAndTheOthersDelivered(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	good := event("VI_1", 50)
	put(t, spool, good)
	entry := func(n int) string { return fmt.Sprintf("%020d-VI-1-%03d.json", n, n) }
	files := map[string]struct{ content, reason string }{
		entry(1):     {"", "it is not a JSON object: unexpected end of JSON input"},
		entry(2):     {`{"version":3,"event":{}}`, "it has format version 3, this program knows 1 to 2"},
		entry(3):     {`{"version":1,"event":{"id":"x"}}`, "it holds event x, not the one in its name"},
		entry(4):     {`{"version":1,"event":{"id":"a b"}}`, `event ID "a b": only letters, digits and '-' are allowed`},
		entry(5):     {`{"version":1}`, "event ID of 0 bytes: 1 to 128 are allowed"},
		entry(6):     {`{"version":1,"event":{"id":"VI-1-006"},"channels":{"mail":{"state":"held"}}}`, `its outcome for channel "mail" is "held", not pending, done or dead`},
		entry(7):     {strings.Repeat(" ", maxEntry+1), "it has more than 1048576 bytes"},
		entry(8):     {`[]`, "it is not a JSON object: json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
		"notes.txt":  {"hello", "its name is not an entry's"},
		"..json":     {"{}", "its name is not an entry's"},
		"x\ny\xff.a": {"{}", "its name is not an entry's"},
	}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(dir, "spool", "queue", name), []byte(file.content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	mail := &fake{name: "mail"}
	report := drain(t, spool, Policy{}, mail)
	if got := mail.seen(); !slices.Equal(got, []string{good.ID}) || report.Remaining != 0 {
		t.Errorf("mail got %q, %d remain", got, report.Remaining)
	}
	if len(report.SetAside) != len(files) {
		t.Errorf("%d set aside, want %d", len(report.SetAside), len(files))
	}
	for _, damaged := range report.SetAside {
		if want := files[strings.TrimSuffix(damaged.Name, ".damaged")].reason; damaged.Reason != want {
			t.Errorf("%s: reason %q, want %q", damaged.Name, damaged.Reason, want)
		}
	}
	_, listed, err := spool.Dead(context.Background())
	if err != nil || len(listed) != len(files) {
		t.Errorf("listed %d, %v", len(listed), err)
	}
	// Another version's entry comes back with its program.
	err = spool.Retry(context.Background(), "VI-1-002")
	if err == nil || !strings.Contains(err.Error(), "still damaged: it has format version 3") {
		t.Errorf("retry of another version's entry: %v", err)
	}
	path := filepath.Join(dir, "spool", "dead", entry(2)+".damaged")
	if err := os.WriteFile(path, []byte(`{"version":1,"event":{"id":"VI-1-002"}}`), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := spool.Retry(context.Background(), "VI-1-002"); err != nil {
		t.Fatal(err)
	}
	if drain(t, spool, Policy{}, mail); !slices.Contains(mail.seen(), "VI-1-002") {
		t.Errorf("mail got %q", mail.seen())
	}
}

func TestUnknownFieldsSurviveARecord(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	e := event("VI_1", 1)
	path := filepath.Join(dir, "spool", "queue", entryName(e))
	content := `{"version":1,"group":{"id":7},"event":{"id":"VI-1-001","kind":"INSTANCE","name":"VI_1","state":"MASTER","weather":"fine"}}`
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	drain(t, spool, Policy{}, &fake{name: "mail", answer: fail("no route")})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"group":{"id":7}`, `"weather":"fine"`, `"last_error":"no route"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the entry lost %s: %s", want, data)
		}
	}
}

// BenchmarkPut measures the hook's way to the disk: opening the spool and one
// durable event. The budget is 10 ms at the median and 50 ms for 99 of 100.
func BenchmarkPut(b *testing.B) {
	dir := b.TempDir()
	open(b, dir)
	var times []time.Duration
	for n := 0; b.Loop(); n++ {
		start := time.Now()
		spool, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		e := event("VI_1", n)
		e.ID = NewID(e.Time)
		if err := spool.Put(e); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
		spool.Close()
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "µs-p99")
}

// BenchmarkDrain measures one delivered entry, its removal made durable.
func BenchmarkDrain(b *testing.B) {
	spool := open(b, b.TempDir())
	mail := &fake{name: "mail"}
	for n := 0; b.Loop(); n++ {
		put(b, spool, event("VI_1", n))
		drain(b, spool, Policy{}, mail)
	}
}

// BenchmarkScan measures a drain that finds 1,000 entries and nothing due.
func BenchmarkScan(b *testing.B) {
	spool := open(b, b.TempDir())
	for n := range 1000 {
		put(b, spool, event("VI_1", n))
	}
	mail := &fake{name: "mail", answer: fail("no route")}
	policy := Policy{InitialBackoff: time.Hour, MaxBackoff: time.Hour}
	drain(b, spool, policy, mail)
	for b.Loop() {
		drain(b, spool, policy, mail)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte(`{"version":1,"event":{"id":"a-1","time":"2026-03-14T10:26:53.589+01:00","host":"lb1","kind":"INSTANCE","name":"VI_1","state":"MASTER","vips":null}}`))
	f.Add([]byte(`{"version":1,"event":{"id":"a"},"channels":{"mail":{"state":"pending","attempts":3,"last_error":"x","last_attempt":"2026-03-14T10:26:53Z","next":"2026-03-14T10:27:53Z","asked":true}},"more":[1]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"event":null,"channels":null}`))
	f.Add([]byte(`{"version":1,"Event":{"id":"a"},"event":{"id":"b"},"channels":{"":{"state":"done","attempts":-1}}}`))
	f.Add([]byte("{\"version\":1,\"event\":{\"id\":\"a\",\"name\":\"\xff\\ud800\"}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := decodeEntry(data)
		if err != nil {
			return
		}
		if err := checkID(entry.Event.ID); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		if id, ok := entryID(entryName(entry.Event)); !ok || id != entry.Event.ID {
			t.Fatalf("name %q gives ID %q", entryName(entry.Event), id)
		}
		written, err := entry.encode()
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		again, err := decodeEntry(written)
		if err != nil {
			t.Fatalf("cannot be read again: %v\n%s", err, written)
		}
		first, err1 := json.Marshal(entry)
		second, err2 := json.Marshal(again)
		if err1 != nil || err2 != nil || string(first) != string(second) {
			t.Fatalf("changed from %s to %s (%v, %v)", first, second, err1, err2)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	f.Add([]byte(`{"version":1,"kind":"INSTANCE","name":"VI_1","state":"MASTER","since":"2026-03-14T10:26:53Z","time":"2026-03-14T10:26:53Z","id":"a"}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		last, err := decodeState(data)
		if err == nil && last.State == "" {
			t.Fatal("accepted without a state")
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("00000000000000000042-b.json", "mail")
	f.Add("00000000000000000042-b.0123456789abcdef.done", "")
	f.Add(".json", "a/b")
	f.Fuzz(func(t *testing.T, name, channel string) {
		if id, ok := entryID(name); ok {
			if checkID(id) != nil || isMarker(name) || !isMarker(markerName(name, channel)) {
				t.Fatalf("entry name %q, ID %q", name, id)
			}
		}
		isMarker(name)
		for _, file := range []string{stateFile(notify.Kind(channel), name), damagedName("a" + name)} {
			if len(file) > 255 {
				t.Fatalf("%q is too long", file)
			}
		}
		if file := stateFile(notify.Kind(channel), name); strings.ContainsAny(file, "/\x00") {
			t.Fatalf("state file %q", file)
		}
	})
}

// A hook that was killed between making a directory and giving it its mode
// leaves one that is of no use to anybody: the next one finishes it.
func TestUnfinishedDirectoryIsFinished(t *testing.T) {
	stateDir := t.TempDir()
	if err := os.Mkdir(filepath.Join(stateDir, "spool"), 0o400); err != nil {
		t.Fatal(err)
	}
	spool := open(t, stateDir)
	put(t, spool, event("VI_1", 1))
	info, err := os.Stat(filepath.Join(stateDir, "spool"))
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
}
