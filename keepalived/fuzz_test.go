package keepalived

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfig reads any text as a main file, without includes. No input may
// panic, hang, or give a model that breaks its own promises.
func FuzzConfig(f *testing.F) {
	for _, name := range []string{"real/grammar.conf", "real/parts/10-part.conf", "field/sync/keepalived.conf",
		"field/dual-vip/keepalived-a.conf", "field/web/conf.d/20-vip.conf"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("$A=x${A}x${A}\n$A"))
	f.Add([]byte("$A= \\\n$B \\\n$A\n$B= \\\n$A \\\n$B\n$A\n"))
	f.Add([]byte("~SEQ(v,1,1000000000) ~SEQ(w,1,1000000000) ~LST({a,b},{1,2},{3}) $v ${w} ${a}\n"))
	f.Add([]byte("\ufeff@x }{ \"\\\n\x00" + strings.Repeat("a", 3000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := newReader(Options{ConfigID: "node"})
		r.lines.noIncludes = true
		r.lines.generated, r.lines.expansions = 1000, 5000 // keep the fuzzer fast
		r.read("fuzz.conf", text)
		config := r.config
		if len(config.Problems) > maxProblems {
			t.Errorf("%d problems", len(config.Problems))
		}
		names := map[string]bool{}
		for _, in := range config.Instances {
			if names[in.Name] {
				t.Errorf("instance %q is there twice", in.Name)
			}
			names[in.Name] = true
			if in.Priority < 1 || in.Priority > 255 || in.State != "MASTER" && in.State != "BACKUP" ||
				in.VRRPVersion < 2 || in.VRRPVersion > 3 || in.AdvertInt <= 0 || len(in.AuthPass.Reveal()) > 8 || in.Pos.Line < 1 {
				t.Errorf("instance %+v", in)
			}
			for _, vip := range in.VIPs {
				if !vip.Addr.IsValid() || vip.Prefix < 0 || vip.Prefix > vip.Addr.BitLen() || vip.Pos.Line < 1 {
					t.Errorf("VIP %+v", vip)
				}
			}
		}
		for _, group := range config.Groups {
			for _, member := range group.Members {
				if !names[member] {
					t.Errorf("group %q has %q, which does not exist", group.Name, member)
				}
			}
		}
		for _, script := range config.Scripts {
			if len(script.Command.Words) == 0 || script.Interval <= 0 || script.Timeout <= 0 || script.Rise < 1 || script.Fall < 1 {
				t.Errorf("script %+v", script)
			}
		}
		if _, err := json.Marshal(config); err != nil {
			t.Error(err)
		}
	})
}

// FuzzInclude reads two files that may include each other and the directory.
func FuzzInclude(f *testing.F) {
	f.Add("include b.conf\ninclude [a-b]*\ninclude {a,b,c}.conf", "include a.conf\n$F=include b.conf\n$F")
	f.Add("include {{{{a,b},{a,b}},{{a,b},{a,b}}},{{{a,b},{a,b}},{{a,b},{a,b}}}}.conf", "~SEQ(i,1,100) include a.conf")
	f.Fuzz(func(t *testing.T, a, b string) {
		// Nothing outside of the directory.
		if strings.Contains(a+b, "/") || strings.Contains(a+b, "..") {
			return
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.conf"), a, 0o644)
		write(t, filepath.Join(dir, "b.conf"), b, 0o644)
		config, err := Load(filepath.Join(dir, "a.conf"), Options{ConfigID: "node"})
		if err == nil && len(config.Files) > maxFiles {
			t.Errorf("%d files", len(config.Files))
		}
	})
}

func FuzzParseArgs(f *testing.F) {
	f.Add("MASTER", "VI_1", "", "", 2)
	f.Add("INSTANCE", "VI_1", "MASTER", "100", 4)
	f.Add("group", "a\n\"\xff", "backup", "0", 4)
	f.Fuzz(func(t *testing.T, a, b, c, d string, n int) {
		args := []string{a, b, c, d, a, b, c, d}
		args = args[:uint(n)%uint(len(args)+1)]
		event, err := ParseArgs(args)
		if err != nil {
			if event != (Event{}) || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("ParseArgs(%q) = %+v, %q", args, event, err)
			}
			return
		}
		checkEvent(t, event)
		if name := args[1]; event.Name != name {
			t.Errorf("name %q, want %q", event.Name, name)
		}
	})
}

func checkEvent(t *testing.T, event Event) {
	t.Helper()
	if _, ok := parseState(event.State); !ok || event.Name == "" || event.Priority < 0 || event.Priority > 255 ||
		event.HasPriority != (event.Kind != "") {
		t.Errorf("event %+v", event)
	}
}

func FuzzParseFIFO(f *testing.F) {
	f.Add([]byte("INSTANCE \"VI_1\" MASTER 105\n"))
	f.Add([]byte("GROUP \"a \"b\" STOP 0\" FAULT 0\n"))
	f.Add([]byte("\x00RS [10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80 DOWN\n"))
	f.Add([]byte("VS FWM 5 UP"))
	f.Fuzz(func(t *testing.T, line []byte) {
		event, err := ParseFIFO(line)
		switch {
		case err != nil:
			if event != (FIFOEvent{}) || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("ParseFIFO(%q) = %+v, %q", line, event, err)
			}
		case event.Kind == KindVirtualServer || event.Kind == KindRealServer:
			if event.VirtualServer == "" || event.State != StateUp && event.State != StateDown {
				t.Errorf("ParseFIFO(%q) = %+v", line, event)
			}
		default:
			checkEvent(t, event.Event)
		}
	})
}
