package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// The secrets of every test; the last one is in a URL in escaped form.
const (
	pathSecret   = "T0KEN-in-path"
	querySecret  = "k3y in query"
	userSecret   = "us3r-password"
	headerSecret = "bearer-s3cret"
	fileSecret   = "header-file-s3cret"
	keySecret    = "signing-s3cret"
)

func allSecrets() []string {
	return []string{pathSecret, querySecret, "k3y+in+query", "k3y%20in%20query", userSecret, headerSecret, fileSecret, keySecret}
}

// file writes a file below t.TempDir.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secretive makes a notifier with a secret in every place that can hold one.
func secretive(t *testing.T, base string) notify.Notifier {
	t.Helper()
	scheme, rest, _ := strings.Cut(base, "://")
	return must(t, Config{
		Name:        "hook",
		URL:         scheme + "://user:" + userSecret + "@" + rest + "/send/" + pathSecret + "?key=k3y+in+query#frag",
		Headers:     map[string]string{"Authorization": "Bearer " + headerSecret},
		HeadersFile: file(t, "headers", "# more\n\nX-Api-Key: "+fileSecret+"\n"),
		SecretFile:  file(t, "key", keySecret+"\n"),
	})
}

func must(t *testing.T, cfg Config) *Notifier {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestContract(t *testing.T) {
	notifytest.Contract{
		New:         func(t *testing.T, address string) notify.Notifier { return secretive(t, "http://"+address) },
		Prologue:    "HTTP/1.1 500 Oh no\r\nX-Header: ",
		ClientFirst: true,
		Secrets:     allSecrets(),
	}.Run(t)
	t.Run("codes", func(t *testing.T) { notifytest.HTTPCodes(t, allSecrets(), secretive) })
	t.Run("retry after", func(t *testing.T) { notifytest.RetryAfter(t, secretive) })
}

// recorder is a receiver, or a proxy, that keeps the last request. Of its errors
// it says how the client logged in.
type recorder struct {
	*httptest.Server
	// Mutex is for a client in another process: with one in this process its
	// requests and answers keep the order.
	sync.Mutex
	header http.Header
	body   []byte
	uri    string
	status int
}

func record(t *testing.T) *recorder {
	r := &recorder{status: http.StatusNoContent}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.Lock()
	defer r.Unlock()
	r.header, r.uri = request.Header, request.Method+" "+request.RequestURI
	r.body, _ = io.ReadAll(request.Body)
	w.WriteHeader(r.status)
	if r.status >= 500 {
		fmt.Fprintf(w, "%q", request.Header.Get("Proxy-Authorization"))
	}
}

func TestRequest(t *testing.T) {
	r := record(t)
	n := must(t, Config{
		Name: "hook", URL: r.URL + "/a%2Fb?x=1", SecretFile: file(t, "key", keySecret+"\r\n"),
		Headers: map[string]string{"X-Env": "prod"}, UserAgent: "hacheck/1.2.3", Style: notify.Style{Language: notify.SimplifiedChinese},
	})
	if n.Name() != "hook" {
		t.Errorf("Name is %q", n.Name())
	}
	event := notifytest.Event()
	before := time.Now().Unix()
	if err := n.Notify(t.Context(), notify.Notification{Event: event}); err != nil {
		t.Fatal(err)
	}
	if r.uri != "POST /a%2Fb?x=1" {
		t.Errorf("request is %q", r.uri)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": event.ID,
		"User-Agent": "hacheck/1.2.3", "X-Env": "prod",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	// The signature, computed from its description alone.
	seconds, hexMAC, ok := strings.Cut(strings.TrimPrefix(r.header.Get("X-Hacheck-Signature"), "t="), ",v1=")
	if !ok {
		t.Fatalf("signature is %q", r.header.Get("X-Hacheck-Signature"))
	}
	mac := hmac.New(sha256.New, []byte(keySecret))
	io.WriteString(mac, seconds+"."+string(r.body)) //nolint:errcheck // a hash never fails
	if want := hex.EncodeToString(mac.Sum(nil)); hexMAC != want {
		t.Errorf("signature is %s, want %s", hexMAC, want)
	}
	if at, err := strconv.ParseInt(seconds, 10, 64); err != nil || at < before || at > time.Now().Unix() {
		t.Errorf("time of the signature is %q, want now", seconds)
	}

	// The document is the one that a command gets, too.
	notification := notify.Notification{Event: event}
	want, err := notify.Document(notification, notify.Render(notification, notify.SimplifiedChinese))
	if err != nil {
		t.Fatal(err)
	}
	if string(r.body) != string(want) {
		t.Errorf("the body is\n%s\nwant\n%s", r.body, want)
	}
}

// TestBasicAuthIsHidden lets a receiver and a proxy repeat how a user and a
// password were sent.
func TestBasicAuthIsHidden(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		fmt.Fprintf(w, "%q %q", r.Header.Get("Authorization"), r.Header.Get("Proxy-Authorization"))
	}))
	t.Cleanup(echo.Close)
	address := strings.Replace(echo.URL, "http://", "http://ops:"+userSecret+"@", 1)
	secrets := []string{userSecret, base64.StdEncoding.EncodeToString([]byte("ops:" + userSecret))}
	for _, test := range []struct{ name, said, url, proxy string }{
		{"receiver", `"Basic ***" ""`, address, NoProxy},
		{"proxy", `"" "Basic ***"`, "http://hooks.invalid/", address},
	} {
		err := must(t, Config{Name: "hook", URL: test.url, Proxy: test.proxy}).Notify(t.Context(), notifytest.Notification())
		if err == nil || !strings.HasSuffix(err.Error(), ": 500 Internal Server Error: "+test.said) {
			t.Errorf("%s: error is %v", test.name, err)
			continue
		}
		notifytest.CheckText(t, err, secrets)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	r := record(t)
	event := notifytest.Event()
	event.VIPs = nil
	if err := must(t, Config{Name: "hook", URL: r.URL}).Notify(t.Context(), notify.Notification{Event: event}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(r.body), `"vips":[]`) {
		t.Errorf("body %s does not have an empty list of VIPs", r.body)
	}
	if r.header.Get("X-Hacheck-Signature") != "" {
		t.Error("a request without a key is signed")
	}
	if got := r.header.Get("User-Agent"); got != "hacheck" {
		t.Errorf("User-Agent is %q", got)
	}
}

func TestHostileEvent(t *testing.T) {
	r := record(t)
	event := notifytest.Hostile()
	event.ID = "id\r\nX-Injected: 1"
	if err := must(t, Config{Name: "hook", URL: r.URL}).Notify(t.Context(), notify.Notification{Event: event}); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(r.body) || !utf8.Valid(r.body) {
		t.Errorf("body is not JSON: %.200q", r.body)
	}
	if got := r.header.Get("Idempotency-Key"); got != "id--X-Injected:-1" {
		t.Errorf("Idempotency-Key is %q", got)
	}
	if r.header.Get("X-Injected") != "" {
		t.Error("a header was injected")
	}
}

// TestSecretsAreReadAtEachAttempt changes the URL and the key between two
// attempts.
func TestSecretsAreReadAtEachAttempt(t *testing.T) {
	r := record(t)
	url := file(t, "url", " "+r.URL+"/one \t\r\n") // as an editor may leave it
	key := file(t, "key", "first")
	n := must(t, Config{Name: "hook", URLFile: url, SecretFile: key})
	if err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	one := r.header.Get(SignatureHeader)
	if r.uri != "POST /one" || one == "" {
		t.Fatalf("request is %q, signature %q", r.uri, one)
	}
	if err := os.WriteFile(url, []byte(r.URL+"/two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(key)
	err := n.Notify(t.Context(), notifytest.Notification())
	want := "webhook: read secret_file: open " + key + ": no such file or directory"
	if err == nil || err.Error() != want || notify.IsPermanent(err) {
		t.Errorf("error is %v, want temporary %q", err, want)
	}
	if r.uri != "POST /one" {
		t.Error("a request went out without its signature")
	}
	if err := os.WriteFile(key, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	if r.uri != "POST /two" || r.header.Get(SignatureHeader) == one {
		t.Errorf("request is %q, signature as before: %t", r.uri, r.header.Get(SignatureHeader) == one)
	}
}

func TestSystemdCredential(t *testing.T) {
	r := record(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "hook-url"), []byte(r.URL+"/credential"), 0o400); err != nil {
		t.Fatal(err)
	}
	n := must(t, Config{Name: "hook", URLFile: "hook-url"})
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	err := n.Notify(t.Context(), notifytest.Notification())
	if err == nil || !strings.Contains(err.Error(), `systemd credential: $CREDENTIALS_DIRECTORY is not set`) {
		t.Errorf("error is %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	if err := n.Notify(t.Context(), notifytest.Notification()); err != nil || r.uri != "POST /credential" {
		t.Errorf("error %v, request %q", err, r.uri)
	}
}

func TestAnswersInErrors(t *testing.T) {
	for _, test := range []struct {
		name, want string
		handler    http.HandlerFunc
	}{
		{"excerpt", "webhook URL: 400 Bad Request: bad field \"x\" \uFFFD in y \uFFFDtoken",
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(400)
				io.WriteString(w, "bad field \"x\"\r\n\x00 in\ty\n\u202etoken") //nolint:errcheck // the test sees it
			}},
		{"large", "webhook URL: 500 Internal Server Error: " + strings.Repeat("é", 100) + "…",
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(500)
				io.WriteString(w, strings.Repeat("é", 1<<20)) //nolint:errcheck // it is cut on purpose
			}},
		{"cut secret", "webhook URL: 500 Internal Server Error: " + strings.Repeat("x", 195) + "***",
			func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(500)
				io.WriteString(w, strings.Repeat("x", 195)+r.URL.Path) //nolint:errcheck // the test sees it
			}},
		{"redirect", "webhook URL: 302 Found; redirects are not followed, put the final URL at https://new.example into the configuration",
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://new.example/path/"+pathSecret)
				w.WriteHeader(302)
			}},
		{"body stalls after a bad status", "webhook URL: 404 Not Found: begun",
			func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(404)
				io.WriteString(w, "begun") //nolint:errcheck // the test sees it
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}},
		{"body stalls after a good status", "",
			func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(200)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) //nolint:errcheck // only then the server notices a client that left
				test.handler(w, r)
			}))
			defer server.Close()
			n := must(t, Config{Name: "hook", URL: server.URL + "/hook/" + pathSecret})
			// The time of a stalled body begins when the answer does: a busy
			// machine may take its time until then.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				GotFirstResponseByte: func() { time.AfterFunc(500*time.Millisecond, cancel) },
			})
			err := n.Notify(ctx, notifytest.Notification())
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			want := strings.Replace(test.want, "URL", server.URL, 1)
			if err == nil || err.Error() != want {
				t.Errorf("error is\n%v, want\n%s", err, want)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	ca := file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))

	err := must(t, Config{Name: "hook", URL: server.URL}).Notify(t.Context(), notifytest.Notification())
	if err == nil || notify.IsPermanent(err) || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("unknown authority: %v, want a temporary error about it", err)
	}
	if err := must(t, Config{Name: "hook", URL: server.URL, CAFile: ca}).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Errorf("with ca_file: %v", err)
	}
	if err := must(t, Config{Name: "hook", URL: server.URL, InsecureSkipVerify: true}).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Errorf("with insecure: %v", err)
	}
	err = must(t, Config{Name: "hook", URL: server.URL, CAFile: file(t, "empty.pem", "no")}).Notify(t.Context(), notifytest.Notification())
	if err == nil || notify.IsPermanent(err) || !strings.HasSuffix(err.Error(), "empty.pem: holds no PEM certificate") {
		t.Errorf("empty CA file: %v", err)
	}
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	t.Cleanup(old.Close)
	err = must(t, Config{Name: "hook", URL: old.URL, InsecureSkipVerify: true}).Notify(t.Context(), notifytest.Notification())
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v, want a refusal", err)
	}
}

// TestNoConnectionIsLeft lets receivers and proxies stall before there is
// anything to answer.
func TestNoConnectionIsLeft(t *testing.T) {
	gone := make(chan struct{}, 1)
	address := notifytest.Serve(t, func(conn net.Conn, _ <-chan struct{}) {
		io.Copy(io.Discard, conn) //nolint:errcheck // until the client leaves
		gone <- struct{}{}
	})
	for name, cfg := range map[string]Config{
		"receiver": {Name: "hook", URL: "https://" + address, Proxy: NoProxy},
		"proxy":    {Name: "hook", URL: "https://hooks.invalid", Proxy: "http://" + address},
		"socks":    {Name: "hook", URL: "https://hooks.invalid", Proxy: "socks5://" + address},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := must(t, cfg).Notify(ctx, notifytest.Notification()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v", err)
			}
			select {
			case <-gone:
			case <-time.After(5 * time.Second): // of the attempt's 10
				t.Error("the connection is still there")
			}
		})
	}
}

// TestProxyFromEnvironment runs itself as a process of its own, as the
// environment is read once for a process. The name of a receiver does not
// resolve: only the proxy can know it.
func TestProxyFromEnvironment(t *testing.T) {
	const child = "HACHECK_TEST_PROXY_CHILD"
	if target := os.Getenv(child); target != "" {
		if err := must(t, Config{Name: "hook", URL: target}).Notify(t.Context(), notifytest.Notification()); err != nil {
			fmt.Println("error:", err)
		}
		return
	}
	proxy, direct := record(t), record(t)
	direct.status = http.StatusTeapot
	// No proxy is used for 127.0.0.1, whatever the environment says; 0.0.0.0 is
	// this machine, too.
	here := strings.Replace(direct.Listener.Addr().String(), "127.0.0.1", "0.0.0.0", 1)
	address := strings.Replace(proxy.URL, "http://", "http://ops:"+userSecret+"@", 1)
	basic := base64.StdEncoding.EncodeToString([]byte("ops:" + userSecret))
	for _, test := range []struct {
		name, url, variable, exceptions string
		status                          int
		uri, said                       string
	}{
		{"http", "http://hooks.invalid/path", "HTTP_PROXY", "", 204, "POST http://hooks.invalid/path", ""},
		{"lower case", "http://hooks.invalid/path", "http_proxy", "", 204, "POST http://hooks.invalid/path", ""},
		{"https", "https://hooks.invalid/path", "HTTPS_PROXY", "", 502, "CONNECT hooks.invalid:443", "webhook https://hooks.invalid: Bad Gateway"},
		{"not for https", "https://" + here + "/path", "HTTP_PROXY", "", 204, "", "server gave HTTP response to HTTPS client"},
		{"not an exception", "http://" + here + "/path", "HTTP_PROXY", "example.org,10.0.0.0/8", 204, "POST http://" + here + "/path", ""},
		{"an exception", "http://" + here + "/path", "HTTP_PROXY", "example.org,0.0.0.0/8", 418, "", "418 I'm a teapot"},
		{"an echo", "http://hooks.invalid/path", "HTTP_PROXY", "", 500, "POST http://hooks.invalid/path", `"Basic ***"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy.Lock()
			proxy.uri, proxy.status = "", test.status
			proxy.Unlock()
			command := exec.Command(os.Args[0], "-test.run=^TestProxyFromEnvironment$")
			command.Env = []string{child + "=" + test.url, test.variable + "=" + address, "NO_PROXY=" + test.exceptions}
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			proxy.Lock()
			uri := proxy.uri
			proxy.Unlock()
			if uri != test.uri {
				t.Errorf("the proxy got %q, want %q", uri, test.uri)
			}
			if said := string(out); strings.Contains(said, "error:") != (test.said != "") || !strings.Contains(said, test.said) ||
				strings.Contains(said, userSecret) || strings.Contains(said, basic) {
				t.Errorf("said %s, want %q", said, test.said)
			}
		})
	}
}

func TestNewErrors(t *testing.T) {
	good := func(change func(*Config)) Config {
		cfg := Config{Name: "hook", URL: "https://hooks.example/" + pathSecret}
		change(&cfg)
		return cfg
	}
	for _, test := range []struct {
		want string
		cfg  Config
	}{
		{"name: is missing", good(func(c *Config) { c.Name = "" })},
		{"url: is missing; set url, or url_file to keep it secret", good(func(c *Config) { c.URL = "" })},
		{"url_file: is set together with url; keep one of them", good(func(c *Config) { c.URLFile = "/x" })},
		{"url: must begin with http:// or https://", good(func(c *Config) { c.URL = "ftp://x/" + pathSecret })},
		{"url: names no host", good(func(c *Config) { c.URL = "http:///" + pathSecret })},
		{"url: is not a valid URL (its text is not shown, as it may hold a secret)", good(func(c *Config) { c.URL = "http://x/%zz" + pathSecret })},
		{"url: has the port 65536, which is not within 1 to 65535", good(func(c *Config) { c.URL = "http://x:65536/" })},
		{"timeout: -1s is not within 0s to 5m0s", good(func(c *Config) { c.Timeout = -time.Second })},
		{"timeout: 1h0m0s is not within 0s to 5m0s", good(func(c *Config) { c.Timeout = time.Hour })},
		{`secret_file: is neither an absolute path nor the bare name of a systemd credential`, good(func(c *Config) { c.SecretFile = "a/b" })},
		{`headers_file: is neither an absolute path nor the bare name of a systemd credential`, good(func(c *Config) { c.HeadersFile = ".." })},
		{`ca_file: "ca.pem" is not an absolute path`, good(func(c *Config) { c.CAFile = "ca.pem" })},
		{"ca_file: has no effect together with insecure; remove one of them", good(func(c *Config) { c.CAFile = "/ca"; c.InsecureSkipVerify = true })},
		{`headers: "a b" is not a header name`, good(func(c *Config) { c.Headers = map[string]string{"a b": "x"} })},
		{"headers: the value of X-Key holds a control character", good(func(c *Config) { c.Headers = map[string]string{"X-Key": headerSecret + "\r\nX: y"} })},
		{"headers: X-Key stands there twice, as capitals do not count", good(func(c *Config) { c.Headers = map[string]string{"X-Key": "a", "x-key": "b"} })},
		{"headers: content-type is set by hacheck itself", good(func(c *Config) { c.Headers = map[string]string{"content-type": "x"} })},
		{"user_agent: holds a control character", good(func(c *Config) { c.UserAgent = "a\nb" })},
	} {
		_, err := New(test.cfg)
		if err == nil || err.Error() != test.want {
			t.Errorf("error is\n%v, want\n%s", err, test.want)
		}
	}
}

func TestSecretFiles(t *testing.T) {
	folder := t.TempDir()
	for _, test := range []struct{ name, content, want string }{
		{"bad-url", "not a url at all", "webhook: url_file: PATH: must begin with http:// or https://"},
		{"two-urls", "https://a.example/\nhttps://b.example/\n", "webhook: read url_file: PATH: holds more than one line"},
		{"empty", "\n", "webhook: read url_file: PATH: is empty"},
		{"large", strings.Repeat("x", 16<<10+1), "webhook: read url_file: PATH is larger than 16384 bytes"},
	} {
		path := filepath.Join(folder, test.name)
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := must(t, Config{Name: "hook", URLFile: path}).Notify(t.Context(), notifytest.Notification())
		if want := strings.Replace(test.want, "PATH", path, 1); err == nil || err.Error() != want || notify.IsPermanent(err) {
			t.Errorf("%s: error is %v, want temporary %q", test.name, err, want)
		}
	}
	err := must(t, Config{Name: "hook", URLFile: folder}).Notify(t.Context(), notifytest.Notification())
	if err == nil || !strings.HasSuffix(err.Error(), "is not a regular file") {
		t.Errorf("folder: %v", err)
	}
	headers := file(t, "headers", "X-One: 1\nX Two: "+fileSecret+"\n")
	err = must(t, Config{Name: "hook", URL: "http://127.0.0.1:1", HeadersFile: headers}).Notify(t.Context(), notifytest.Notification())
	if want := "webhook: headers_file: line 2: does not begin with a header name"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// TestHeadersOfBoth lets both places name a header, in letters of their own.
func TestHeadersOfBoth(t *testing.T) {
	r := record(t)
	n := must(t, Config{
		Name: "hook", URL: r.URL, Headers: map[string]string{"x-KEY": "configured"},
		HeadersFile: file(t, "headers", "X-Key: of the file\nx-other: also\n"),
	})
	for range 10 { // a map has its own order each time
		if err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(r.header["X-Key"], r.header["X-Other"]); got != "[configured] [also]" {
			t.Fatalf("headers are %s", got)
		}
	}
	n = must(t, Config{Name: "hook", URL: r.URL, HeadersFile: file(t, "headers", "X-Key: a\n\nx-key: b\n")})
	err := n.Notify(t.Context(), notifytest.Notification())
	if want := "webhook: headers_file: line 3: X-Key stands there a second time"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestWarnings(t *testing.T) {
	open := file(t, "open", "secret")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	n := must(t, Config{Name: "hook", URLFile: "/does/not/exist", SecretFile: open, CAFile: "/no/ca"})
	want := []string{
		"url_file: open /does/not/exist: no such file or directory",
		fmt.Sprintf("secret_file: %s is open to every account (mode 0644); chmod 0640 it", open),
		"ca_file: open /no/ca: no such file or directory",
	}
	if got := n.Warnings(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("warnings are %q, want %q", got, want)
	}
	if got := must(t, Config{Name: "hook", URL: "http://x"}).Warnings(); got != nil {
		t.Errorf("warnings are %q, want none", got)
	}
}

// Who sends a secret in clear is told so, unless it stays on this node.
func TestWarnsOfSecretsInClear(t *testing.T) {
	secret := file(t, "secret", "0123456789abcdef")
	location := file(t, "url", "http://chat.example.org/hook/S3CRET")
	headers := file(t, "headers", "X-Team: S3CRET")
	const behind = " in clear: everybody on the way can read it; use https://"
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{Preset: Slack, URL: "http://chat.example.org/hooks/S3CRET"}, "url: http://chat.example.org sends the URL, which is a secret," + behind},
		{Config{Preset: DingTalk, URL: "http://192.0.2.1:8080/S3CRET"}, "url: http://192.0.2.1:8080 sends the URL, which is a secret," + behind},
		{Config{Preset: Slack, URL: "https://chat.example.org/hooks/S3CRET"}, ""},
		{Config{Preset: Slack, URL: "http://127.0.0.1/hooks/S3CRET"}, ""},
		{Config{Preset: Slack, URL: "http://127.8.8.8/hooks/S3CRET"}, ""},
		{Config{Preset: Slack, URL: "http://[::1]:8080/hooks/S3CRET"}, ""},
		{Config{Preset: Slack, URL: "http://LocalHost:8080/hooks/S3CRET"}, ""},
		{Config{Preset: Slack, URL: "http://127.0.0.1.example.org/S3CRET"}, "url: http://127.0.0.1.example.org sends the URL, which is a secret," + behind},
		{Config{Preset: Telegram, URL: "http://bots.example.org", ChatID: "1", TokenFile: secret}, "url: http://bots.example.org sends the token" + behind},
		{Config{Preset: Telegram, ChatID: "1", TokenFile: secret}, ""},
		{Config{Preset: Ntfy, URL: "http://ntfy.example.org", Topic: "lb"}, ""},
		{Config{Preset: Ntfy, URL: "http://ntfy.example.org", TopicFile: secret}, "url: http://ntfy.example.org sends the topic, which is a secret," + behind},
		{Config{URLFile: location}, "url_file: http://chat.example.org sends the URL, which is a secret," + behind},
		{Config{URL: "http://collector.example.org/events"}, ""},
		{Config{URL: "http://collector.example.org/events", SecretFile: secret}, ""}, // signs, and stays here
		{Config{URL: "http://lb:S3CRET@collector.example.org/"}, "url: http://collector.example.org sends the account before the '@'" + behind},
		{Config{URL: "http://collector.example.org/", Headers: map[string]string{"X-Team": "net"}}, ""},
		{Config{URL: "http://collector.example.org/", Headers: map[string]string{"Authorization": "Bearer S3CRET"}}, "url: http://collector.example.org sends the header Authorization" + behind},
		{Config{URL: "http://collector.example.org/", HeadersFile: headers}, "url: http://collector.example.org sends the headers of headers_file" + behind},
		{Config{Preset: Alertmanager, URLs: []string{"http://am-1.example.org:9093"}}, ""},
		{Config{Preset: Alertmanager, URLs: []string{"http://lb:S3CRET@am-1.example.org:9093"}}, "urls: http://am-1.example.org:9093 sends the account before the '@'" + behind},
	} {
		test.cfg.Name = "hook"
		if got := strings.Join(must(t, test.cfg).Warnings(), "\n"); got != test.want || strings.Contains(got, "S3CRET") {
			t.Errorf("%s %s: warnings are %q, want %q", test.cfg.Preset, test.cfg.URL, got, test.want)
		}
	}
}

func FuzzParseHeaders(f *testing.F) {
	f.Add("X-A: b\n# c\n\nX-D:e")
	f.Add("X: \x00")
	f.Add("Content-Length: 5")
	f.Fuzz(func(t *testing.T, text string) {
		headers, err := parseHeaders(text)
		if err != nil {
			if headers != nil || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		for name, value := range headers {
			if err := checkHeader(name, value); err != nil {
				t.Errorf("%q: %q passed: %v", name, value, err)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT")
	f.Add("-1")
	now := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if after, ok := retryAfter(value, now); after < 0 || after > maxRetryAfter || !ok && after != 0 {
			t.Errorf("%q gives %s, %t", value, after, ok)
		}
	})
}
