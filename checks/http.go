package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HTTPOptions say what an HTTP check requests and expects.
type HTTPOptions struct {
	// URLs are requested side by side, 1 to 256 of them: http, https, or
	// unix:/path/of/socket:/request/uri for HTTP over a unix socket. A user
	// and password in a URL are sent as Basic authentication. No result and no
	// error shows them, nor the query.
	URLs []string
	// Require says how many must answer as expected. The zero value is any.
	Require Require
	// Method is GET when empty.
	Method string
	// Status lists what is expected: codes (200), ranges (200-299) and classes
	// (2xx), in any number and with commas. Empty stands for 2xx.
	Status []string
	// Contains must occur in the first 1 MiB of the body. When it is empty
	// the body is not read.
	Contains string
	// Header is sent as it is.
	Header http.Header
	// Host replaces the Host header. The name for TLS stays the URL's.
	Host string
	// FollowRedirects requests up to 10 other places the server points to;
	// otherwise a redirect is an answer like any other.
	FollowRedirects bool
	// Resolve lists host:port:address as for curl's --resolve: what is
	// requested from host:port goes to address instead.
	Resolve []string
	// TLS is how certificates are judged.
	TLS TLSOptions
}

// HTTP checks that URLs answer with an expected status and body.
//
// Each run opens its own connections. Proxies of the environment are not used,
// because the check is about the servers named.
type HTTP struct {
	name     string
	options  HTTPOptions
	statuses []statusRange
	targets  []httpTarget
	labels   []string
	resolve  map[string]string
	template *http.Transport
}

// httpTarget is one URL, split into what is requested and where.
type httpTarget struct {
	url    *url.URL
	socket string // of a unix target
}

// maxBody bounds what is read of a body to find Contains.
const maxBody = 1 << 20

// NewHTTP returns a check of options. It reads the CA file, but requests
// nothing.
func NewHTTP(name string, options HTTPOptions) (*HTTP, error) {
	if name == "" {
		return nil, errors.New("a check needs a name")
	}
	if err := checkPeers("URL", options.URLs, options.Require); err != nil {
		return nil, err
	}
	check := &HTTP{name: name, options: options}
	for _, text := range options.URLs {
		target, err := parseTarget(text)
		if err != nil {
			return nil, err
		}
		check.targets = append(check.targets, target)
		check.labels = append(check.labels, target.label())
	}
	if check.options.Method == "" {
		check.options.Method = http.MethodGet
	}
	if !isToken(check.options.Method) {
		return nil, fmt.Errorf("%q is not an HTTP method", options.Method)
	}
	if check.options.Method == http.MethodHead && options.Contains != "" {
		return nil, errors.New("the answer to HEAD has no body to find a text in")
	}
	var err error
	if check.statuses, err = parseStatuses(options.Status); err != nil {
		return nil, err
	}
	if len(options.Contains) > maxBody {
		return nil, fmt.Errorf("the text to find has %d bytes, at most %d of a body are read", len(options.Contains), maxBody)
	}
	if check.options.Header, check.options.Host, err = checkHeader(options.Header, options.Host); err != nil {
		return nil, err
	}
	if check.resolve, err = parseResolve(options.Resolve); err != nil {
		return nil, err
	}
	tlsConfig, err := options.TLS.config()
	if err != nil {
		return nil, err
	}
	check.template = &http.Transport{
		TLSClientConfig:        tlsConfig,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the body is searched as the server sends it
		MaxResponseHeaderBytes: 64 << 10,
	}
	return check, nil
}

// Name returns the name given to NewHTTP.
func (c *HTTP) Name() string { return c.name }

// Run requests all URLs side by side and returns as soon as the answer is
// known.
func (c *HTTP) Run(ctx context.Context) Result {
	parts := sideBySide(ctx, c.labels, c.options.Require, func(ctx context.Context, i int) (Status, string) {
		return c.probe(ctx, c.targets[i])
	})
	return combine(c.name, c.options.Require, "URLs answer as expected", parts)
}

func (c *HTTP) probe(ctx context.Context, target httpTarget) (Status, string) {
	start := time.Now()
	var connected atomic.Bool
	transport := c.template.Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if target.socket != "" {
			network, address = "unix", target.socket
		} else if to, ok := c.resolve[strings.ToLower(address)]; ok {
			address = to
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		connected.Store(true)
		return newRequestFirst(conn), nil
	}
	client := http.Client{Transport: transport}
	if !c.options.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	request, err := http.NewRequestWithContext(ctx, c.options.Method, target.url.String(), nil)
	if err != nil {
		return Unknown, "cannot be requested: " + withoutURL(err).Error()
	}
	request.Header = c.options.Header.Clone()
	request.Host = c.options.Host

	response, err := client.Do(request)
	if err != nil {
		err = withoutURL(err)
		switch {
		case endedBy(ctx, err) && !connected.Load():
			return Fail, "did not accept a connection within " + budget(ctx, start)
		case endedBy(ctx, err):
			return Fail, "accepted the connection but did not answer within " + budget(ctx, start)
		}
		status, words := problem(err)
		words = strings.TrimPrefix(words, "net/http: HTTP/1.x transport connection broken: ")
		// What follows is the path with its secrets when the peer only echoes.
		if before, _, found := strings.Cut(words, " status code "); found {
			words = before + " status code: it does not speak HTTP"
		}
		return status, words
	}
	defer response.Body.Close()

	if !slices.ContainsFunc(c.statuses, func(r statusRange) bool { return r.has(response.StatusCode) }) {
		return Fail, fmt.Sprintf("answers %s, expected %s", statusWords(response), statusList(c.statuses))
	}
	if c.options.Contains == "" {
		return Pass, "answers " + statusWords(response)
	}
	want := quote([]byte(c.options.Contains))
	seen, found, err := readUntil(response.Body, []byte(c.options.Contains), maxBody)
	switch {
	case found:
		return Pass, fmt.Sprintf("answers %s with %s", statusWords(response), want)
	case err != nil && endedBy(ctx, err):
		return Fail, fmt.Sprintf("answers %d, but its body did not bring %s within %s (%d bytes came)", response.StatusCode, want, budget(ctx, start), len(seen))
	case err != nil && !errors.Is(err, io.EOF):
		_, words := problem(err)
		return Fail, fmt.Sprintf("answers %d, but its body breaks off after %d bytes without %s: %s", response.StatusCode, len(seen), want, words)
	case err == nil:
		return Fail, fmt.Sprintf("answers %d, but the first %d bytes of its body do not contain %s", response.StatusCode, len(seen), want)
	default:
		return Fail, fmt.Sprintf("answers %d, but its body (%d bytes) does not contain %s", response.StatusCode, len(seen), want)
	}
}

// requestFirst is a connection on which nothing is read before something was
// written. net/http writes to the standard log, and loses the error, when a
// peer of another protocol greets before it is asked.
type requestFirst struct {
	net.Conn
	begin func() // lets reads go on
	begun <-chan struct{}
}

func newRequestFirst(conn net.Conn) *requestFirst {
	begun := make(chan struct{})
	return &requestFirst{Conn: conn, begun: begun, begin: sync.OnceFunc(func() { close(begun) })}
}

func (c *requestFirst) Read(p []byte) (int, error) {
	<-c.begun
	return c.Conn.Read(p)
}

func (c *requestFirst) Write(p []byte) (int, error) {
	c.begin()
	return c.Conn.Write(p)
}

func (c *requestFirst) Close() error {
	c.begin()
	return c.Conn.Close()
}

// statusWords shows the status and, for a redirect, where it leads.
func statusWords(response *http.Response) string {
	words := strconv.Itoa(response.StatusCode)
	if response.StatusCode/100 != 3 {
		return words
	}
	location, err := response.Location()
	if err != nil {
		return words
	}
	return words + " (redirect to " + oneLineMax(showURL(location), 200) + ")"
}

// withoutURL strips the URL that net/http puts into its errors: it is named by
// the caller already, and may hold a secret.
func withoutURL(err error) error {
	var urlErr *url.Error
	for errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	return err
}

// parseTarget reads one URL. Its errors never show a user or password.
func parseTarget(text string) (httpTarget, error) {
	if rest, ok := strings.CutPrefix(text, "unix:"); ok {
		socket, uri, _ := strings.Cut(rest, ":")
		if err := checkSocketPath(socket); err != nil {
			return httpTarget{}, fmt.Errorf("%q: %w", hideQuery(text), err)
		}
		if uri == "" {
			uri = "/"
		}
		parsed, err := url.ParseRequestURI(uri)
		if err != nil || !strings.HasPrefix(uri, "/") {
			return httpTarget{}, fmt.Errorf("%q: what follows the socket is not a request URI such as /healthz", hideQuery(text))
		}
		parsed.Scheme, parsed.Host = "http", "localhost"
		return httpTarget{url: parsed, socket: socket}, nil
	}
	if text == "" {
		return httpTarget{}, errors.New("a URL is empty")
	}
	scheme, _, hasScheme := strings.Cut(text, "://")
	isHTTP := strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
	switch {
	case isHTTP && hasScheme:
	case strings.Contains(text, "@"):
		return httpTarget{}, errors.New("a URL with a user name begins with neither http:// nor https://")
	case hasScheme:
		return httpTarget{}, fmt.Errorf("%q: the scheme %q is none of http, https and unix", hideQuery(text), scheme)
	case strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//"):
		return httpTarget{}, fmt.Errorf("%q has no scheme: write http://HOST%s", hideQuery(text), oneLine(hideQuery(text)))
	default:
		return httpTarget{}, fmt.Errorf("%q has no scheme: write http://%s", hideQuery(text), oneLine(hideQuery(strings.TrimPrefix(text, "//"))))
	}
	parsed, err := url.Parse(text)
	if err != nil && strings.Contains(text, "@") {
		// The message would show a password that is not percent-encoded.
		return httpTarget{}, errors.New("a URL with a user name cannot be read: percent-encode special characters in the user name and password")
	}
	if err != nil {
		return httpTarget{}, fmt.Errorf("%q is not a URL: %w", hideQuery(text), withoutURL(err))
	}
	if parsed.Hostname() == "" {
		return httpTarget{}, fmt.Errorf("%q has no host", showURL(parsed))
	}
	if err := checkHost(parsed.Hostname()); err != nil {
		return httpTarget{}, fmt.Errorf("%q: %w", showURL(parsed), err)
	}
	if port := parsed.Port(); port != "" {
		if err := checkPort(port); err != nil {
			return httpTarget{}, fmt.Errorf("%q: %w", showURL(parsed), err)
		}
	}
	parsed.Fragment = ""
	return httpTarget{url: parsed}, nil
}

// label is how results call the target.
func (t httpTarget) label() string {
	if t.socket == "" {
		return oneLineMax(showURL(t.url), maxLabel)
	}
	return oneLineMax("unix:"+t.socket+":"+hideQuery(t.url.RequestURI()), maxLabel)
}

// showURL shows a URL without what may be secret in it: the user and password
// become ***, the query and fragment "…".
func showURL(u *url.URL) string {
	shown := *u
	shown.User, shown.RawQuery, shown.ForceQuery, shown.Fragment, shown.RawFragment = nil, "", false, "", ""
	text := shown.String()
	if u.User != nil {
		text = strings.Replace(text, "//", "//***@", 1)
	}
	if u.RawQuery != "" {
		text += "?…"
	}
	return text
}

// hideQuery is showURL's treatment of a query for text that is no URL.
func hideQuery(text string) string {
	if before, _, ok := strings.Cut(text, "?"); ok {
		return before + "?…"
	}
	return text
}

// statusRange is a range of status codes, both ends included.
type statusRange struct{ from, to int }

func (r statusRange) has(code int) bool { return r.from <= code && code <= r.to }

func (r statusRange) String() string {
	switch {
	case r.from == r.to:
		return strconv.Itoa(r.from)
	case r.from%100 == 0 && r.to == r.from+99:
		return strconv.Itoa(r.from/100) + "xx"
	}
	return fmt.Sprintf("%d-%d", r.from, r.to)
}

func statusList(ranges []statusRange) string {
	words := make([]string, len(ranges))
	for i, r := range ranges {
		words[i] = r.String()
	}
	return strings.Join(words, ", ")
}

// parseStatuses reads the Status option.
func parseStatuses(texts []string) ([]statusRange, error) {
	if len(texts) == 0 {
		return []statusRange{{200, 299}}, nil
	}
	var ranges []statusRange
	for _, text := range texts {
		for word := range strings.SplitSeq(text, ",") {
			parsed, err := parseStatus(strings.TrimSpace(word))
			if err != nil {
				return nil, err
			}
			ranges = append(ranges, parsed)
		}
	}
	return ranges, nil
}

func parseStatus(word string) (statusRange, error) {
	if class, ok := strings.CutSuffix(strings.ToLower(word), "xx"); ok && len(class) == 1 && class[0] >= '2' && class[0] <= '5' {
		from := int(class[0]-'0') * 100
		return statusRange{from, from + 99}, nil
	}
	fromText, toText, isRange := strings.Cut(word, "-")
	if !isRange {
		toText = fromText
	}
	from, fromErr := statusCode(fromText)
	to, toErr := statusCode(toText)
	if fromErr != nil || toErr != nil || from > to {
		return statusRange{}, fmt.Errorf("%q is not a status: use a code from 200 to 599, a range such as 200-299, or a class such as 2xx", word)
	}
	return statusRange{from, to}, nil
}

func statusCode(text string) (int, error) {
	code, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || code < 200 || code > 599 {
		return 0, strconv.ErrRange
	}
	return int(code), nil
}

// parseResolve reads the Resolve option into dialled address → address.
func parseResolve(entries []string) (map[string]string, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	resolve := make(map[string]string, len(entries))
	for _, entry := range entries {
		parts := strings.SplitN(entry, ":", 3)
		if len(parts) != 3 || parts[0] == "" {
			return nil, fmt.Errorf("%q is not host:port:address", entry)
		}
		if err := checkHost(parts[0]); err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
		if err := checkPort(parts[1]); err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(parts[2], "["), "]"))
		if err != nil {
			return nil, fmt.Errorf("%q: %q is not an IP address", entry, parts[2])
		}
		resolve[strings.ToLower(net.JoinHostPort(parts[0], parts[1]))] = net.JoinHostPort(addr.String(), parts[1])
	}
	return resolve, nil
}

// checkHeader returns a copy of header without Host, which net/http takes from
// elsewhere. Its errors name a header, not its value, which may be secret.
func checkHeader(header http.Header, host string) (http.Header, string, error) {
	checked := http.Header{"User-Agent": {"hacheck"}}
	for name, values := range header {
		if !isToken(name) {
			return nil, "", fmt.Errorf("%q is not the name of a header", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, "", fmt.Errorf("the value of header %s has a control character", name)
			}
		}
		if http.CanonicalHeaderKey(name) != "Host" {
			checked[http.CanonicalHeaderKey(name)] = slices.Clone(values)
			continue
		}
		if host != "" || len(values) != 1 {
			return nil, "", errors.New("the Host header is given twice")
		}
		host = values[0]
	}
	if host != "" && strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return nil, "", fmt.Errorf("%q is not a host for the Host header", host)
	}
	return checked, host, nil
}

// isToken reports whether text is a token of RFC 9110, section 5.6.2.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
