package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"hacheck/notify"
)

// masked stands for what a preview does not show.
const masked = "***"

var _ notify.Previewer = (*Notifier)(nil)

// Preview gives the requests that Notify would make: the request line, the
// headers and the body. The path and the query of the configured URL, the
// tokens, the values of configured headers and the signatures are masked. The
// time of the attempt is that of the event.
func (n *Notifier) Preview(notification notify.Notification) (string, error) {
	target, s, err := n.load()
	if err != nil {
		return "", fmt.Errorf("webhook: %w", err)
	}
	shown := &url.URL{Scheme: target.Scheme, Host: target.Host}
	if strings.Trim(target.Path, "/") != "" {
		shown.Path = "/" + masked
	}
	if target.RawQuery != "" {
		shown.RawQuery = masked
	}
	for name := range s.headers {
		s.headers[name] = masked
	}
	// The real ones do not even come near the text.
	for _, secret := range []*string{&s.token, &s.key, &s.topic} {
		if *secret != "" {
			*secret = masked
		}
	}
	posts, err := n.preset.posts(n.told(notification, s, notification.Time))
	if err != nil {
		return "", fmt.Errorf("webhook %s: write the body: %w", show(target), err)
	}
	var b strings.Builder
	for i, post := range posts {
		if i > 0 {
			b.WriteByte('\n')
		}
		n.previewOne(&b, shown, s, post)
	}
	return b.String(), nil
}

// previewOne writes one request.
func (n *Notifier) previewOne(b *strings.Builder, shown *url.URL, s secrets, post post) {
	hide := func(text string) string {
		for _, fleeting := range post.fleeting {
			text = strings.ReplaceAll(text, fleeting, masked)
		}
		return text
	}
	line := shown.Scheme + "://" + shown.Host + shown.Path + post.path
	parameters := []string{}
	if shown.RawQuery != "" {
		parameters = append(parameters, shown.RawQuery)
	}
	for _, name := range slices.Sorted(maps.Keys(post.query)) {
		parameters = append(parameters, name+"="+hide(post.query.Get(name)))
	}
	if len(parameters) > 0 {
		line += "?" + strings.Join(parameters, "&")
	}
	fmt.Fprintf(b, "%s %s\n", http.MethodPost, line)
	headers := map[string]string{"Content-Type": contentType, "User-Agent": n.cfg.UserAgent}
	for name := range post.header {
		headers[name] = hide(post.header.Get(name))
	}
	for name, value := range s.headers {
		headers[http.CanonicalHeaderKey(name)] = value
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(b, "%s: %s\n", name, headers[name])
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, post.body, "", "  "); err != nil {
		pretty.Reset()
		pretty.Write(post.body)
	}
	fmt.Fprintf(b, "\n%s\n", visible(hide(pretty.String())))
}

// visible escapes, as JSON does, what a terminal would act on and what could
// not be seen in a document of JSON, which has no such characters outside its
// texts.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
