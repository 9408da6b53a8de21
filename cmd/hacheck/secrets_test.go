package main

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"hacheck/config"
)

// mark is in every secret of the test.
const mark = "s3cr3t"

// treacherous is what a receiver can answer to bring the secrets it was sent
// into somebody's log.
var treacherous = map[string]func(w http.ResponseWriter, request *http.Request, heard string){
	"an error with the request": func(w http.ResponseWriter, _ *http.Request, heard string) {
		http.Error(w, heard, http.StatusInternalServerError)
	},
	"a refusal with the request": func(w http.ResponseWriter, _ *http.Request, heard string) {
		http.Error(w, heard, http.StatusForbidden)
	},
	"every vendor's own refusal": func(w http.ResponseWriter, _ *http.Request, heard string) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"errcode": 310000, "errmsg": heard, "code": 19021, "msg": heard, "ok": false, "description": heard,
			"error": heard, "message": heard, "status": "invalid event", "errors": []string{heard}, "info": heard,
		})
	},
	"a redirection": func(w http.ResponseWriter, request *http.Request, _ string) {
		http.Redirect(w, request, "http://127.0.0.1:1"+request.URL.RequestURI()+"?authorization="+url.QueryEscape(request.Header.Get("Authorization")), http.StatusFound)
	},
	"no HTTP at all": func(w http.ResponseWriter, _ *http.Request, heard string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, heard)
	},
	"a header with the request": func(w http.ResponseWriter, request *http.Request, heard string) {
		w.Header().Set("Retry-After", request.URL.RequestURI())
		w.Header().Set("Location", heard)
		w.WriteHeader(http.StatusTooManyRequests)
	},
}

// Whatever the receivers answer, no secret of any kind of channel stands in what
// hacheck says, logs, lists, keeps or shows.
func TestNoSecretIsTold(t *testing.T) {
	for name, answer := range treacherous {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			told := map[string]int{} // by channel
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				heard, _ := httputil.DumpRequest(request, true)
				channel := request.Header.Get(channelHeader)
				if request.Method == http.MethodConnect {
					channel = "tunnelled"
				}
				mu.Lock()
				if slices.ContainsFunc(formsOf(mark), func(form string) bool { return strings.Contains(string(heard), form) }) {
					told[channel]++
				}
				mu.Unlock()
				answer(w, request, string(heard))
			})}
			listener := listenLoopback(t)
			go server.Serve(listener)
			t.Cleanup(func() { server.Close() })
			relay := &betrayer{}
			channels := watchSecrets(t, listener.Addr().String(), relay.start(t))
			// Two tests and the events.
			mu.Lock()
			defer mu.Unlock()
			for _, channel := range channels {
				if told[channel] < 3 {
					t.Errorf("%d requests of %s had a secret: the test does not see them all", told[channel], channel)
				}
			}
			if mail := relay.told.Load(); mail < 2*3 {
				t.Errorf("%d logins had a secret: the test does not see them all", mail)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		listener := listenLoopback(t)
		listener.Close()
		watchSecrets(t, listener.Addr().String(), listener.Addr().String())
	})
}

// watchSecrets runs everything that could tell a secret, and names the channels
// that send to the web server.
func watchSecrets(t *testing.T, web, relay string) []string {
	t.Helper()
	n := newNode(t, "")
	content, channels := n.secretConfiguration(web, relay)
	n.configure(content)
	// It warns of the one channel that sends to somewhere else in clear.
	const warning = "channel proxied: url: http://hooks.example.org sends the headers of headers_file in clear"
	code, output := n.run("config", "check")
	if code != int(exitBadConfig) || strings.Count(output, "\n") != 1 || !strings.Contains(output, warning) {
		t.Fatalf("config check: exit code %d\n%s", code, output)
	}
	lookForSecrets(t, "config check", output)
	var id string
	for _, args := range [][]string{
		{"config", "show"},
		{"--output", "json", "config", "show"},
		{"notify", "--dry-run", "FAULT", "VI_1"},
		{"--output", "json", "notify", "--dry-run", "FAULT", "VI_1"},
		{"notify", "--test"},
		{"--output", "json", "notify", "--test"},
		{"notify", "FAULT", "VI_1"},
		{"--log-format", "json", "notify", "MASTER", "VI_2"},
		{"deliver", "--now"},
		{"--output", "json", "deliver", "--now"},
		{"queue", "list"},
		{"--output", "json", "queue", "list"},
		{"queue", "show", "ID"},
		{"--output", "json", "queue", "show", "ID"},
		{"status"},
		{"--output", "json", "status"},
		{"queue", "retry", "all"},
		{"queue", "drop", "ID"},
		{"check", "api"},
		{"--output", "json", "check", "api"},
		{"check", "login"},
		{"--output", "json", "check", "login"},
	} {
		for i, arg := range args {
			if arg == "ID" {
				args[i] = id
			}
		}
		_, output := n.run(append([]string{"--log-level", "debug"}, args...)...)
		lookForSecrets(t, strings.Join(args, " "), output)
		if found := regexp.MustCompile(`[0-9]{8}T[0-9]{9}Z-[0-9a-f]{16}`).FindString(output); args[0] == "notify" && found != "" {
			id = found
		}
	}
	err := filepath.WalkDir(n.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Dir(path) == n.dir || strings.HasPrefix(path, filepath.Join(n.dir, "secrets")) {
			return err
		}
		content, err := os.ReadFile(path)
		lookForSecrets(t, path, string(content))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return channels
}

// lookForSecrets finds the mark as it is and in the forms in which secrets travel.
func lookForSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, form := range formsOf(mark) {
		if at := strings.Index(text, form); at >= 0 {
			t.Errorf("%s tells a secret: …%s…", where, text[max(0, at-200):min(len(text), at+60)])
			return
		}
	}
}

// formsOf are a text and the forms in which it travels.
func formsOf(text string) []string {
	return append(base64Forms(text), text, hex.EncodeToString([]byte(text)))
}

// base64Forms are what a text looks like within a longer one in base64, without
// the letters that depend on what stands before and after.
func base64Forms(text string) []string {
	forms := make([]string, 3)
	for shift := range forms {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(".", shift) + text))
		forms[shift] = encoded[(shift*8+5)/6 : (shift+len(text))*8/6]
	}
	return forms
}

// The search would find what it is for.
func TestSecretsAreFoundInBase64(t *testing.T) {
	for shift := range 3 {
		login := base64.StdEncoding.EncodeToString([]byte("\x00" + strings.Repeat("u", shift) + "\x00" + mark + "-password"))
		found := false
		for _, form := range base64Forms(mark) {
			found = found || strings.Contains(login, form)
		}
		if !found {
			t.Errorf("%q is not found in %s", mark, login)
		}
	}
}

// channelHeader says which channel a request is of.
const channelHeader = "X-Channel"

// secretConfiguration has a channel of every type that there is, with all the
// secrets that its settings can hold, and names those that send to the web server.
func (n *node) secretConfiguration(web, relay string) (content string, hooks []string) {
	n.t.Helper()
	folder := filepath.Join(n.dir, "secrets")
	if err := os.Mkdir(folder, 0o700); err != nil {
		n.t.Fatal(err)
	}
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			n.t.Fatal(err)
		}
		return path
	}
	host, port, _ := net.SplitHostPort(relay)
	key := file("key", mark+"-key\n", 0o600)
	var channels strings.Builder
	channel := func(kind, settings string) { fmt.Fprintf(&channels, "    - {type: %s, %s}\n", kind, settings) }
	// What is put behind each key of a channel, of which a name is sent along.
	setting := func(kind, name, key string) string {
		switch key {
		case "url":
			return fmt.Sprintf("'http://user:%[1]s-user@%[2]s/%[1]s-path?key=%[1]s-query'", mark, web)
		case "url_file":
			return file("url-"+name, fmt.Sprintf("http://user:%[1]s-user@%[2]s/%[1]s-path?access_token=%[1]s-query\n", mark, web), 0o600)
		case "urls":
			return fmt.Sprintf("['http://user:%s-user@%s']", mark, web)
		case "secret_file":
			return file("key-"+name, mark+"-key\n", 0o600)
		case "token_file":
			form := map[string]string{"telegram": "123456:%sbottokenbottokenbottoken", "serverchan": "SCT%ssendkey", "pagerduty": "%s" + strings.Repeat("0", 32-len(mark))}[kind]
			return file("token-"+name, fmt.Sprintf(cmp.Or(form, "%s-token")+"\n", mark), 0o600)
		case "topic_file":
			return file("topic-"+name, mark+"-topic\n", 0o600)
		case "headers":
			// The header Authorization takes the place of the user in a URL.
			return fmt.Sprintf("{%s: %s, X-Key: '%s-header'}", channelHeader, name, mark)
		case "headers_file":
			return file("headers-"+name, "X-Api-Key: "+mark+"-header-file\n", 0o600)
		}
		n.t.Fatalf("the test has no secret for %s of %s", key, kind)
		return ""
	}
	hook := func(section config.Section, name, more string, without ...string) {
		hooks = append(hooks, name)
		var keys []string
		for _, s := range section.Settings {
			if (s.Secret || strings.HasSuffix(s.Key, "_file")) && s.Key != "ca_file" {
				keys = append(keys, s.Key)
			}
		}
		switch {
		case slices.Contains(keys, "url_file") && !slices.Contains(without, "url_file"):
			without = append(without, "url") // one or the other
		case slices.Contains(keys, "token_file"):
			without = append(without, "url")
			more += fmt.Sprintf(", url: 'http://%s'", web) // the server's root
		}
		for _, key := range keys {
			if key != "proxy" && !slices.Contains(without, key) {
				more += fmt.Sprintf(", %s: %s", key, setting(section.Type, name, key))
			}
		}
		channel(section.Type, "name: "+name+", rate_limit: 0"+more)
	}
	for _, section := range config.Reference() {
		if section.Path != "notify.channels[]" || section.Type == "" {
			continue
		}
		switch section.Type {
		case "smtp":
			for _, auth := range []string{"plain", "login"} {
				channel("smtp", fmt.Sprintf("name: %s, host: %s, port: %s, tls: none, allow_clear_auth: true, auth: %[1]s, username: lb, password_file: %[4]s, from: lb@example.org, to: ops@example.org", auth, host, port, key))
			}
		case "exec":
			program := file("program", "#!/bin/sh\necho \"called with $*\" >&2\nexit 75\n", 0o700)
			channel("exec", fmt.Sprintf("command: [%s, --token, %s-argument]", program, mark))
		case "journald":
			channel("journald", "syslog: none")
		case "webhook":
			hook(section, "generic", "", "url_file")
			hook(section, "filed", "")
			for name, scheme := range map[string]string{"proxied": "http", "tunnelled": "https"} {
				hook(section, name, fmt.Sprintf(", url: '%s://hooks.example.org/%[2]s-path', proxy: 'http://user:%[2]s-proxy@%[3]s'", scheme, mark, web), "url", "url_file")
			}
		case "telegram":
			hook(section, section.Type, ", chat_id: '-100'")
		default:
			hook(section, section.Type, "")
		}
	}
	checks := fmt.Sprintf("  api: {type: http, urls: ['http://user:%[1]s-user@%[2]s/health?key=%[1]s-query'], headers: {X-Key: %[1]s-header}, status: 299, contains: nothing}\n"+
		"  login: {type: tcp, addresses: ['%[2]s'], send: \"AUTH %[1]s-password\\r\\n\", expect: nothing}\n", mark, web)
	return fmt.Sprintf("state_dir: %[1]s/state\nrun_dir: %[1]s/run\nhaproxy: {socket: %[1]s/none.sock}\nkeepalived: {conf: %[1]s/none.conf}\nchecks:\n%[2]snotify:\n  budget: 1s\n  channels:\n%[3]s", n.dir, checks, &channels), hooks
}

// betrayer is a relay that answers a login with the password it was told.
type betrayer struct{ told atomic.Int32 }

func (b *betrayer) start(t *testing.T) (address string) {
	t.Helper()
	listener := listenLoopback(t)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &betrayal{relay: b}, nil }))
	server.Domain = "localhost"
	server.AllowInsecureAuth = true
	server.ErrorLog = quiet{}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

type betrayal struct {
	mailbox
	relay *betrayer
}

func (b *betrayal) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

func (b *betrayal) Auth(mechanism string) (sasl.Server, error) {
	refuse := func(username, password string) error {
		if strings.Contains(password, mark) {
			b.relay.told.Add(1)
		}
		return &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: fmt.Sprintf("%s may not log in with %q (%s)", username, password,
			base64.StdEncoding.EncodeToString([]byte("\x00"+username+"\x00"+password)))}
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, username, password string) error { return refuse(username, password) }), nil
	case sasl.Login:
		return &loginServer{refuse: refuse}, nil
	}
	return nil, errors.New("no such mechanism")
}

// loginServer is the server's side of LOGIN.
type loginServer struct {
	username string
	asked    int
	refuse   func(username, password string) error
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.username = string(response)
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.refuse(l.username, string(response))
	}
}
