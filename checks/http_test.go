package checks

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// webServer answers on several paths as the tests need it.
func webServer() http.Handler {
	mux := http.NewServeMux()
	for path, status := range map[string]int{"/ok": 200, "/created": 201, "/gone": 404, "/error": 500} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "status: fine\n")
		})
	}
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/ok?session=secret", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop?token=secret", http.StatusFound)
	})
	// /echo tells what was asked for.
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		io.WriteString(w, strings.Join([]string{r.Method, r.Host, r.Header.Get("X-Probe"), r.Header.Get("User-Agent"), r.URL.RawQuery, user, password}, "|"))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", 2<<20)+"late")
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
	})
	return mux
}

// hostPort strips the scheme of a test server's URL.
func hostPort(url string) string { return url[strings.Index(url, "://")+3:] }

func TestHTTP(t *testing.T) {
	// A proxy of the environment must not be used.
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")

	plain := httptest.NewServer(webServer())
	t.Cleanup(plain.Close)
	web := plain.URL
	_, port, err := net.SplitHostPort(hostPort(web))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	onSocket := &http.Server{Handler: webServer()}
	t.Cleanup(func() { onSocket.Close() })
	go onSocket.Serve(listener)

	ca := newAuthority(t)
	secure := httptest.NewUnstartedServer(webServer())
	secure.TLS = ca.server(t, "app.example", time.Now().Add(time.Hour))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	_, securePort, err := net.SplitHostPort(hostPort(secure.URL))
	if err != nil {
		t.Fatal(err)
	}
	resolved := "https://app.example:" + securePort

	closed := "http://" + closedPort(t)
	notHTTP := "http://" + serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-\x1b[2J\r\n") })
	hangsUp := "http://" + serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		conn.Read(make([]byte, 4096))
	})

	for _, test := range []struct {
		name    string
		options HTTPOptions
		require string
		status  Status
		reason  string
	}{
		{"200", HTTPOptions{URLs: []string{web + "/ok"}}, "any", Pass, web + "/ok answers 200"},
		{"201 is 2xx", HTTPOptions{URLs: []string{web + "/created"}}, "any", Pass, web + "/created answers 201"},
		{"500", HTTPOptions{URLs: []string{web + "/error"}}, "any", Fail, web + "/error answers 500, expected 2xx"},
		{"range", HTTPOptions{URLs: []string{web + "/gone"}, Status: []string{"200-299,404", "5xx"}}, "any", Pass, web + "/gone answers 404"},
		{"not in the range", HTTPOptions{URLs: []string{web + "/created"}, Status: []string{"200", "202-299", "5xx"}}, "any", Fail,
			web + "/created answers 201, expected 200, 202-299, 5xx"},
		{"redirect", HTTPOptions{URLs: []string{web + "/moved"}}, "any", Fail,
			web + "/moved answers 302 (redirect to " + web + "/ok?…), expected 2xx"},
		{"redirect wanted", HTTPOptions{URLs: []string{web + "/moved"}, Status: []string{"302"}}, "any", Pass,
			web + "/moved answers 302 (redirect to " + web + "/ok?…)"},
		{"redirect followed", HTTPOptions{URLs: []string{web + "/moved"}, FollowRedirects: true, Contains: "fine"}, "any", Pass,
			web + `/moved answers 200 with "fine"`},
		{"redirect loop", HTTPOptions{URLs: []string{web + "/loop"}, FollowRedirects: true}, "any", Fail, web + "/loop stopped after 10 redirects"},
		{"contains", HTTPOptions{URLs: []string{web + "/ok"}, Contains: "status: fine"}, "any", Pass, web + `/ok answers 200 with "status: fine"`},
		{"does not contain", HTTPOptions{URLs: []string{web + "/ok"}, Contains: "bad"}, "any", Fail,
			web + `/ok answers 200, but its body (13 bytes) does not contain "bad"`},
		{"large body", HTTPOptions{URLs: []string{web + "/large"}, Contains: "late"}, "any", Fail,
			web + `/large answers 200, but the first 1048576 bytes of its body do not contain "late"`},
		{"broken body", HTTPOptions{URLs: []string{web + "/broken"}, Contains: "late"}, "any", Fail,
			web + `/broken answers 200, but its body breaks off after 5 bytes without "late": closed the connection`},
		{"request", HTTPOptions{URLs: []string{web + "/echo?a=b"}, Method: "PUT", Host: "app.example", Header: http.Header{"x-probe": {"1"}},
			Contains: "PUT|app.example|1|hacheck|a=b||"}, "any", Pass, web + `/echo?… answers 200 with "PUT|app.example|1|hacheck|a=b||"`},
		{"Host as a header", HTTPOptions{URLs: []string{web + "/echo"}, Header: http.Header{"Host": {"app.example"}, "User-Agent": {"probe"}},
			Contains: "GET|app.example||probe|"}, "any", Pass, web + `/echo answers 200 with "GET|app.example||probe|"`},
		{"user and password", HTTPOptions{URLs: []string{"http://user:p%40ss@" + hostPort(web) + "/echo?token=t"}, Contains: "user|p@ss"}, "any", Pass,
			"http://***@" + hostPort(web) + `/echo?… answers 200 with "user|p@ss"`},
		{"unix", HTTPOptions{URLs: []string{"unix:" + socket + ":/echo?x=1"}, Contains: "GET|localhost||hacheck|x=1"}, "any", Pass,
			"unix:" + socket + `:/echo?… answers 200 with "GET|localhost||hacheck|x=1"`},
		{"unix, root", HTTPOptions{URLs: []string{"unix:" + socket}}, "any", Fail, "unix:" + socket + ":/ answers 404, expected 2xx"},
		{"no unix socket", HTTPOptions{URLs: []string{"unix:/nonexistent/s:/"}}, "any", Fail, "unix:/nonexistent/s:/ no such file or directory"},
		{"resolve", HTTPOptions{URLs: []string{"http://app.example:" + port + "/echo"}, Resolve: []string{"APP.example:" + port + ":127.0.0.1"},
			Contains: "|app.example:" + port + "|"}, "any", Pass, "http://app.example:" + port + `/echo answers 200 with "|app.example:` + port + `|"`},
		{"TLS", HTTPOptions{URLs: []string{resolved + "/ok"}, Resolve: []string{"app.example:" + securePort + ":127.0.0.1"}, TLS: TLSOptions{CAFile: ca.file}},
			"any", Pass, resolved + "/ok answers 200"},
		{"TLS with a server name", HTTPOptions{URLs: []string{secure.URL + "/ok"}, TLS: TLSOptions{CAFile: ca.file, ServerName: "app.example"}}, "any", Pass,
			secure.URL + "/ok answers 200"},
		{"TLS for another name", HTTPOptions{URLs: []string{secure.URL + "/ok"}, TLS: TLSOptions{CAFile: ca.file}}, "any", Fail,
			secure.URL + "/ok shows a certificate that is not accepted: x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"},
		{"TLS of an unknown authority", HTTPOptions{URLs: []string{secure.URL + "/ok"}, TLS: TLSOptions{ServerName: "app.example"}}, "any", Fail,
			secure.URL + "/ok shows a certificate that is not accepted: x509: certificate signed by unknown authority"},
		{"TLS insecure", HTTPOptions{URLs: []string{secure.URL + "/ok"}, TLS: TLSOptions{Insecure: true}}, "any", Pass, secure.URL + "/ok answers 200"},
		{"TLS to a plain server", HTTPOptions{URLs: []string{"https://" + hostPort(web) + "/ok"}}, "any", Fail,
			"https://" + hostPort(web) + "/ok http: server gave HTTP response to HTTPS client"},
		{"closed", HTTPOptions{URLs: []string{closed}}, "any", Fail, closed + " connection refused"},
		{"not HTTP", HTTPOptions{URLs: []string{notHTTP}}, "any", Fail,
			notHTTP + ` malformed HTTP response "SSH-2.0-\x1b[2J"`},
		{"hangs up", HTTPOptions{URLs: []string{hangsUp}}, "any", Fail, hangsUp + " closed the connection"},
		{"any of two", HTTPOptions{URLs: []string{closed, web + "/ok"}}, "all", Fail,
			"1 of 2 URLs answer as expected (2 needed): " + closed + " connection refused"},
		{"both", HTTPOptions{URLs: []string{web + "/ok", web + "/created"}}, "100%", Pass, "2 of 2 URLs answer as expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Require = mustRequire(t, test.require)
			check, err := NewHTTP("web", test.options)
			if err != nil {
				t.Fatal(err)
			}
			expectRun(t, check, "web", test.status, test.reason)
		})
	}
}

func TestNewHTTPErrors(t *testing.T) {
	ok := []string{"http://a/"}
	for _, test := range []struct {
		options HTTPOptions
		want    string
	}{
		{HTTPOptions{}, "no URL is given"},
		{HTTPOptions{URLs: make([]string, 257)}, "257 URLs are given, at most 256 are checked side by side"},
		{HTTPOptions{URLs: ok, Require: mustRequire(t, "2")}, "2 of 1 URLs can never answer"},
		{HTTPOptions{URLs: []string{""}}, "a URL is empty"},
		{HTTPOptions{URLs: []string{"localhost:8080/x"}}, `"localhost:8080/x" has no scheme: write http://localhost:8080/x`},
		{HTTPOptions{URLs: []string{"127.0.0.1:8080/x?key=secret"}}, `"127.0.0.1:8080/x?…" has no scheme: write http://127.0.0.1:8080/x?…`},
		{HTTPOptions{URLs: []string{"/healthz"}}, `"/healthz" has no scheme: write http://HOST/healthz`},
		{HTTPOptions{URLs: []string{"ftp://a/"}}, `"ftp://a/": the scheme "ftp" is none of http, https and unix`},
		{HTTPOptions{URLs: []string{"http:///x"}}, `"http:///x" has no host`},
		{HTTPOptions{URLs: []string{"http://a:0/"}}, `"http://a:0/": "0" is not a port: a port is a number from 1 to 65535`},
		{HTTPOptions{URLs: []string{"http://a:x/"}}, `"http://a:x/" is not a URL: invalid port ":x" after host`},
		{HTTPOptions{URLs: []string{"http://a b/"}}, `"http://a b/" is not a URL: invalid character " " in host name`},
		{HTTPOptions{URLs: []string{"http://user:se/cret@a/"}},
			"a URL with a user name cannot be read: percent-encode special characters in the user name and password"},
		{HTTPOptions{URLs: []string{"user:secret@a/"}}, "a URL with a user name begins with neither http:// nor https://"},
		{HTTPOptions{URLs: []string{"http://user:secret@/x"}}, `"http://***@/x" has no host`},
		{HTTPOptions{URLs: []string{"unix:run/x"}}, `"unix:run/x": "run/x" is not the path of a unix socket: it begins with / (or with @ for an abstract one)`},
		{HTTPOptions{URLs: []string{"unix:/run/x:healthz"}}, `"unix:/run/x:healthz": what follows the socket is not a request URI such as /healthz`},
		{HTTPOptions{URLs: ok, Method: "GET /"}, `"GET /" is not an HTTP method`},
		{HTTPOptions{URLs: ok, Method: "HEAD", Contains: "x"}, "the answer to HEAD has no body to find a text in"},
		{HTTPOptions{URLs: ok, Status: []string{"ok"}}, `"ok" is not a status: use a code from 200 to 599, a range such as 200-299, or a class such as 2xx`},
		{HTTPOptions{URLs: ok, Status: []string{"200,"}}, `"" is not a status: use a code from 200 to 599, a range such as 200-299, or a class such as 2xx`},
		{HTTPOptions{URLs: ok, Status: []string{"299-200"}}, `"299-200" is not a status: use a code from 200 to 599, a range such as 200-299, or a class such as 2xx`},
		{HTTPOptions{URLs: ok, Status: []string{"1xx"}}, `"1xx" is not a status: use a code from 200 to 599, a range such as 200-299, or a class such as 2xx`},
		{HTTPOptions{URLs: ok, Contains: strings.Repeat("x", 1<<20+1)}, "the text to find has 1048577 bytes, at most 1048576 of a body are read"},
		{HTTPOptions{URLs: ok, Header: http.Header{"a b": {"x"}}}, `"a b" is not the name of a header`},
		{HTTPOptions{URLs: ok, Header: http.Header{"X-Token": {"secret\r\nX: y"}}}, "the value of header X-Token has a control character"},
		{HTTPOptions{URLs: ok, Host: "a", Header: http.Header{"Host": {"b"}}}, "the Host header is given twice"},
		{HTTPOptions{URLs: ok, Host: "a b"}, `"a b" is not a host for the Host header`},
		{HTTPOptions{URLs: ok, Resolve: []string{"a:80"}}, `"a:80" is not host:port:address`},
		{HTTPOptions{URLs: ok, Resolve: []string{"a:x:127.0.0.1"}}, `"a:x:127.0.0.1": "x" is not a port: a port is a number from 1 to 65535`},
		{HTTPOptions{URLs: ok, Resolve: []string{"a:80:b"}}, `"a:80:b": "b" is not an IP address`},
		{HTTPOptions{URLs: ok, TLS: TLSOptions{CAFile: "/nonexistent"}}, "CA file: open /nonexistent: no such file or directory"},
	} {
		_, err := NewHTTP("web", test.options)
		if err == nil || err.Error() != test.want {
			t.Errorf("%+.200v: got %v\nwant %s", test.options, err, test.want)
		}
	}
	if _, err := NewHTTP("", HTTPOptions{URLs: ok}); err == nil || err.Error() != "a check needs a name" {
		t.Errorf("no name: %v", err)
	}
}

func TestParseResolveIPv6(t *testing.T) {
	for _, entry := range []string{"a:80:::1", "a:80:[::1]"} {
		got, err := parseResolve([]string{entry})
		if err != nil || got["a:80"] != "[::1]:80" {
			t.Errorf("%s: got %v, %v", entry, got, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"http://a/", "https://user:secret@[::1]:8443/x?y#z", "unix:/run/x:/y?z", "unix:@x", "http://%zz", "//a", "a@b", "http://[fe80::1%25eth0]/", "\xff", "\n", "http://a\n/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := parseTarget(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		label := target.label()
		if label != oneLine(label) {
			t.Errorf("%q is called %q", text, label)
		}
		if target.url.User != nil && strings.Contains(strings.SplitN(label, "/", 4)[2], ":"+mustPassword(target)+"@") {
			t.Errorf("%q shows its password as %q", text, label)
		}
	})
}

func mustPassword(target httpTarget) string {
	password, _ := target.url.User.Password()
	return password
}

func FuzzParseStatus(f *testing.F) {
	for _, seed := range []string{"200", "200-299", "2xx", "2XX", "-", "200-", " 200 - 299 ", "9999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseStatus(text)
		if err != nil {
			return
		}
		again, err := parseStatus(r.String())
		if err != nil || again != r || r.from < 200 || r.to > 599 || r.from > r.to {
			t.Errorf("%q gives %v, and that %v, %v", text, r, again, err)
		}
	})
}

func FuzzParseResolve(f *testing.F) {
	for _, seed := range []string{"a:80:127.0.0.1", "a:80:[::1]", "::", "a:80:fe80::1%eth0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		resolve, err := parseResolve([]string{text})
		if err == nil && len(resolve) != 1 {
			t.Errorf("%q gives %v", text, resolve)
		}
	})
}
