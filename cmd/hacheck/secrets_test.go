package main

import (
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
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
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
			var told atomic.Int32
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				heard, _ := httputil.DumpRequest(request, true)
				if strings.Contains(string(heard), mark) {
					told.Add(1)
				}
				answer(w, request, string(heard))
			})}
			listener := listenLoopback(t)
			go server.Serve(listener)
			t.Cleanup(func() { server.Close() })
			relay := &betrayer{}
			watchSecrets(t, listener.Addr().String(), relay.start(t))
			// Two tests and the events, on sixteen channels and two recipients.
			if web, mail := told.Load(), relay.told.Load(); web < 16*3 || mail < 2*3 {
				t.Errorf("%d requests and %d logins had a secret: the test does not see them all", web, mail)
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

// watchSecrets runs everything that could tell a secret.
func watchSecrets(t *testing.T, web, relay string) {
	t.Helper()
	n := newNode(t, "")
	n.configure(n.secretConfiguration(web, relay))
	if code, output := n.run("config", "check"); code != 0 {
		t.Fatalf("config check: exit code %d\n%s", code, output)
	}
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
}

// lookForSecrets finds the mark as it is and in the forms in which secrets travel.
func lookForSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, form := range append(base64Forms(mark), mark, hex.EncodeToString([]byte(mark))) {
		if at := strings.Index(text, form); at >= 0 {
			t.Errorf("%s tells a secret: …%s…", where, text[max(0, at-200):min(len(text), at+60)])
			return
		}
	}
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

// secretConfiguration has a channel of every type with all the secrets it can
// have.
func (n *node) secretConfiguration(web, relay string) string {
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
	headers := file("headers", "X-Api-Key: "+mark+"-header-file\n", 0o600)
	key := file("key", mark+"-key\n", 0o600)
	token := file("token", mark+"-token\n", 0o600)
	routing := file("routing", mark+strings.Repeat("0", 32-len(mark))+"\n", 0o600)
	address := func(name string) string {
		return file("url-"+name, fmt.Sprintf("http://user:%[1]s-user@%[2]s/%[1]s-%[3]s?access_token=%[1]s-query\n", mark, web, name), 0o600)
	}
	program := file("program", "#!/bin/sh\necho \"called with $*\" >&2\nexit 75\n", 0o700)
	common := fmt.Sprintf("rate_limit: 0, headers: {Authorization: 'Bearer %s-header'}, headers_file: %s", mark, headers)
	var channels strings.Builder
	channel := func(kind, settings string) { fmt.Fprintf(&channels, "    - {type: %s, %s}\n", kind, settings) }
	channel("smtp", fmt.Sprintf("host: %s, port: %s, tls: none, allow_clear_auth: true, auth: plain, username: lb, password_file: %s, from: lb@example.org, to: ops@example.org", host, port, key))
	channel("smtp", fmt.Sprintf("name: login, host: %s, port: %s, tls: none, allow_clear_auth: true, auth: login, username: lb, password_file: %s, from: lb@example.org, to: ops@example.org", host, port, key))
	channel("exec", fmt.Sprintf("command: [%s, --token, %s-argument]", program, mark))
	channel("journald", "syslog: none")
	channel("webhook", fmt.Sprintf("url: 'http://user:%[1]s-user@%[2]s/%[1]s-path?key=%[1]s-query', secret_file: %[3]s, %[4]s", mark, web, key, common))
	channel("webhook", fmt.Sprintf("name: proxied, url: 'http://hooks.example.org/%[1]s-path', proxy: 'http://user:%[1]s-proxy@%[2]s', secret_file: %[3]s, %[4]s", mark, web, key, common))
	channel("webhook", fmt.Sprintf("name: tunnelled, url: 'https://hooks.example.org/%[1]s-path', proxy: 'http://user:%[1]s-proxy@%[2]s', secret_file: %[3]s, %[4]s", mark, web, key, common))
	for _, kind := range []string{"dingtalk", "feishu", "lark"} {
		channel(kind, fmt.Sprintf("url_file: %s, secret_file: %s, %s", address(kind), key, common))
	}
	for _, kind := range []string{"wecom", "slack", "teams", "discord"} {
		channel(kind, fmt.Sprintf("url_file: %s, %s", address(kind), common))
	}
	channel("telegram", fmt.Sprintf("url: 'http://%s', token_file: %s, chat_id: '-100', %s", web, file("bot", "123456:"+mark+"bottokenbottokenbottoken\n", 0o600), common))
	channel("pagerduty", fmt.Sprintf("url: 'http://%s', token_file: %s, %s", web, routing, common))
	channel("ntfy", fmt.Sprintf("url: 'http://%s', topic_file: %s, token_file: %s, %s", web, file("topic", mark+"-topic\n", 0o600), token, strings.Replace(common, "Authorization", "X-Authorization", 1)))
	channel("bark", fmt.Sprintf("url: 'http://%s', token_file: %s, %s", web, token, common))
	channel("serverchan", fmt.Sprintf("url: 'http://%s', token_file: %s, %s", web, file("sendkey", "SCT"+mark+"sendkey\n", 0o600), common))
	channel("alertmanager", fmt.Sprintf("urls: ['http://user:%s-user@%s'], %s", mark, web, strings.Replace(common, "Authorization", "X-Authorization", 1)))
	return fmt.Sprintf("state_dir: %[1]s/state\nrun_dir: %[1]s/run\nhaproxy: {socket: %[1]s/none.sock}\nkeepalived: {conf: %[1]s/none.conf}\nnotify:\n  budget: 1s\n  channels:\n%[2]s", n.dir, &channels)
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
