package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hacheck": observed})
}

// TestScripts runs testdata/script: terminal sessions of the whole command.
func TestScripts(t *testing.T) {
	field, err := filepath.Abs("testdata/field")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := filepath.Abs("../../packaging/hacheck.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("FIELD", field)
			env.Setenv("REFERENCE", reference)
			return peers(env)
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "maintained": maintained},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// peers gives a script $OPEN, an address that takes connections, and $HOOK, a
// URL that takes what is posted to it and has it in $WORK/posted; below it /gone
// does not exist and /stuck never answers.
func peers(env *testscript.Env) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Defer(func() { listener.Close() })
	env.Setenv("OPEN", listener.Addr().String())

	posted, err := os.OpenFile(filepath.Join(env.WorkDir, "posted"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			http.NotFound(w, r)
			return
		case "/stuck":
			io.Copy(io.Discard, r.Body) // without it the end of the client is not noticed
			<-r.Context().Done()
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = posted.Write(append(body, '\n')) // one write: two requests do not mix
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	env.Defer(func() {
		hook.Close()
		posted.Close()
	})
	env.Setenv("HOOK", hook.URL)
	return nil
}

// maintained writes the file of a maintenance by itself, as left by a node whose
// clock was another: maintained DIRECTORY SINCE UNTIL, which count from now.
func maintained(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: maintained DIRECTORY SINCE UNTIL")
	}
	var times [2]time.Time
	for i, text := range args[1:] {
		offset, err := time.ParseDuration(text)
		ts.Check(err)
		times[i] = time.Now().Add(offset)
	}
	content, err := json.Marshal(map[string]any{"since": times[0], "until": times[1], "reason": "by hand", "drain": true, "mute": true})
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dir, "maintenance.json"), content, 0o644))
}

// exits runs a command and insists on its exit code: exits CODE COMMAND ARG… A
// check gives up keeping its verdict soon, as keepalived waits for it: on a busy
// machine it is run again.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range 20 {
		err = ts.Exec(args[1], args[2:]...)
		if !strings.Contains(ts.ReadFile("stderr"), "the verdict was not kept in time") {
			break
		}
	}
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("exit code %d instead of %d", got, want)
	}
}
