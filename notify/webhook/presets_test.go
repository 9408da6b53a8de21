package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The credentials of the presets; vendorKey signs.
const (
	vendorToken = "t0ken-of-the-vendor:AAE"
	vendorTopic = "secret-topic"
	vendorKey   = "SECsigning-key"
)

// vendor is what a test needs to know of a preset: by its documentation, not
// by the code under test.
type vendor struct {
	preset Preset
	// at is the URL of a webhook on a server, without its root, if the vendor
	// hands out such.
	at string
	// set adds what else the configuration needs.
	set func(t *testing.T, cfg *Config)
	// request is where a message arrives.
	request string
	// success is what the vendor answers, with its status.
	status  int
	success string
}

func vendors() []vendor {
	token := func(t *testing.T, cfg *Config) { cfg.TokenFile = file(t, "token", vendorToken+"\n") }
	key := func(t *testing.T, cfg *Config) { cfg.SecretFile = file(t, "key", vendorKey+"\n") }
	return []vendor{
		{DingTalk, "/robot/send?access_token=" + vendorToken, key, "/robot/send", 200, `{"errcode":0,"errmsg":"ok"}`},
		{WeCom, "/cgi-bin/webhook/send?key=" + vendorToken, nil, "/cgi-bin/webhook/send?key=" + vendorToken, 200, `{"errcode":0,"errmsg":"ok"}`},
		{Feishu, "/open-apis/bot/v2/hook/" + vendorToken, key, "/open-apis/bot/v2/hook/" + vendorToken, 200, `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}`},
		{Lark, "/open-apis/bot/v2/hook/" + vendorToken, key, "/open-apis/bot/v2/hook/" + vendorToken, 200, `{"Extra":null,"StatusCode":0,"StatusMessage":"success"}`},
		{Slack, "/services/T00000000/B00000000/" + vendorToken, nil, "/services/T00000000/B00000000/" + vendorToken, 200, "ok"},
		{Teams, "/workflows/abc/triggers/manual/paths/invoke?api-version=2016-06-01&sig=" + vendorToken, nil, "/workflows/abc/triggers/manual/paths/invoke?api-version=2016-06-01&sig=" + vendorToken, 202, ""},
		{Telegram, "", func(t *testing.T, cfg *Config) { token(t, cfg); cfg.ChatID = "-1001234" }, "/bot" + vendorToken + "/sendMessage", 200, `{"ok":true,"result":{"message_id":7}}`},
		{Discord, "/api/webhooks/123/" + vendorToken + "?thread_id=9", nil, "/api/webhooks/123/" + vendorToken + "?thread_id=9&wait=true", 200, `{"id":"1234","type":0,"content":"x"}`},
		{PagerDuty, "", token, "/v2/enqueue", 202, `{"status":"success","message":"Event processed","dedup_key":"x"}`},
		{Ntfy, "", func(t *testing.T, cfg *Config) { token(t, cfg); cfg.TopicFile = file(t, "topic", vendorTopic+"\n") }, "/", 200, `{"id":"hwQ2YpKdmg","time":1635528741,"event":"message","topic":"x","message":"x"}`},
		{Bark, "", token, "/push", 200, `{"code":200,"message":"success","timestamp":1700000000}`},
		{ServerChan, "", token, "/" + vendorToken + ".send", 200, `{"code":0,"message":"","data":{"pushid":"1","readkey":"x","error":"SUCCESS","errno":0}}`},
		{Alertmanager, "/prefix/", func(_ *testing.T, cfg *Config) {
			cfg.Headers = map[string]string{"Authorization": "Bearer " + vendorToken}
			cfg.Labels = map[string]string{"site": "berlin"}
		}, "/prefix/api/v2/alerts", 200, ""},
	}
}

func vendorSecrets() []string {
	return []string{vendorToken, url.QueryEscape(vendorToken), vendorTopic, vendorKey}
}

// channel makes a notifier for the vendor at a server.
func (v vendor) channel(t *testing.T, server string) *Notifier {
	t.Helper()
	cfg := Config{Name: "hook", Preset: v.preset, URL: server + v.at, Proxy: NoProxy}
	if v.set != nil {
		v.set(t, &cfg)
	}
	return must(t, cfg)
}

// TestEveryPresetIsTested holds the tests to the list of presets, which is
// also what the configuration offers.
func TestEveryPresetIsTested(t *testing.T) {
	tested := []Preset{Generic}
	for _, v := range vendors() {
		tested = append(tested, v.preset)
	}
	if !slices.Equal(tested, Presets()) {
		t.Errorf("tested are %q, presets are %q", tested, Presets())
	}
}

// message is what the goldens say, whatever the wording of messages is.
func message() notify.Message {
	return notify.Message{
		Subject: "[FAULT] VI_1 on lb1.example.com: 192.0.2.10 +1",
		Text: "[FAULT] VI_1 on lb1.example.com cannot serve.\n\n!! 192.0.2.10 & <others> are *still* here.\n\n" +
			"Instance   VI_1\nCheck      haproxy: fail\n\nWhat to look at\n  journalctl -u keepalived\n      # why the state changed\n  - a note\n",
	}
}

// tell gives a builder what it needs.
func tell(notification notify.Notification) told {
	return told{
		notification: notification, message: message(),
		alone: func(event notify.Event) notify.Message {
			return notify.Message{Subject: "[" + string(event.State) + "] " + event.Name, Text: event.Name + " alone\n"}
		},
		chatID: "-1001234", topic: "ops", labels: map[string]string{"site": "berlin"},
		token: vendorToken, key: vendorKey, now: time.Date(2025, 3, 2, 6, 10, 0, 0, time.UTC),
	}
}

// failover are two instances that went into FAULT together.
func failover() notify.Notification {
	first, second := notifytest.Event(), notifytest.Event()
	second.Name, second.ID = "VI_2", "01JQ0Z6K9W-lb1-VI-2"
	second.Time = first.Time.Add(40 * time.Millisecond)
	second.RunbookURL = "https://wiki.example.com/vrrp?page=1|2"
	return notify.Notification{Event: second, Earlier: []notify.Event{first}}
}

func TestGolden(t *testing.T) {
	for name, notification := range map[string]notify.Notification{"fault": notifytest.Notification(), "failover": failover()} {
		for _, preset := range Presets() {
			t.Run(name+"/"+string(preset), func(t *testing.T) {
				kind, _ := preset.preset()
				posts, err := kind.posts(tell(notification))
				if err != nil {
					t.Fatal(err)
				}
				var got strings.Builder
				for _, post := range posts {
					fmt.Fprintf(&got, "path %s\nquery %s\nheader %v\n", post.path, post.query.Encode(), post.header)
					var pretty bytes.Buffer
					if err := json.Indent(&pretty, post.body, "", "  "); err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&got, "%s\n", &pretty)
				}
				path := filepath.Join("testdata", "golden", string(preset)+"-"+name+".txt")
				if *update {
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got.String() != string(want) {
					t.Errorf("%s:\n%s\nwant\n%s", path, got.String(), want)
				}
			})
		}
	}
}

// receiver answers every request alike and keeps the requests.
type receiver struct {
	*httptest.Server
	status   int
	header   http.Header
	answer   string
	requests []*http.Request
	bodies   [][]byte
}

func receive(t *testing.T, status int, answer string) *receiver {
	r := &receiver{status: status, answer: answer, header: http.Header{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.requests, r.bodies = append(r.requests, request), append(r.bodies, body)
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	io.WriteString(w, r.answer) //nolint:errcheck // the notifier will say so
}

// shape reads a body into the shape its vendor documents and refuses fields
// that are not in it.
func shape[T any](t *testing.T, body []byte) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return value
}

// The documented shapes, as far as they are used.
type (
	docDingTalk struct {
		MsgType  string `json:"msgtype"`
		Markdown struct{ Title, Text string }
		At       struct{ IsAtAll bool }
	}
	docWeCom struct {
		MsgType  string `json:"msgtype"`
		Markdown struct{ Content string }
	}
	docFeishu struct {
		Timestamp, Sign string
		MsgType         string `json:"msg_type"`
		Content         struct{ Text string }
	}
	docSlack struct {
		Text   string
		Blocks []struct {
			Type string
			Text struct {
				Type, Text      string
				Emoji, Verbatim bool
			}
		}
	}
	docTeams struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Schema        string `json:"$schema"`
				Type, Version string
				MSTeams       struct{ Width string }
				Body          []struct {
					Type, Spacing string
					Inlines       []struct{ Type, Text, Size, Weight, Color, FontType string }
				}
				Actions []struct{ Type, Title, URL string }
			}
		}
	}
	docTelegram struct {
		ChatID   string `json:"chat_id"`
		Text     string
		Entities []struct {
			Type           string
			Offset, Length int
		}
		Preview struct {
			Disabled bool `json:"is_disabled"`
		} `json:"link_preview_options"`
	}
	docDiscord struct {
		Content  string
		Mentions struct{ Parse []string } `json:"allowed_mentions"`
		Flags    int
	}
	docPagerDuty struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
		Client     string
		Links      []struct{ Href, Text string }
		Payload    struct {
			Summary, Source, Severity, Component, Group, Class string
			Timestamp                                          time.Time
			Details                                            map[string]string `json:"custom_details"`
		}
	}
	docNtfy struct {
		Topic, Title, Message, Click string
		Priority                     int
		Tags                         []string
	}
	docBark struct {
		DeviceKey                      string `json:"device_key"`
		Title, Body, Level, Group, URL string
	}
	docServerChan struct{ Title, Desp string }
	docAlert      struct {
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
	}
)

// checkBody checks what a vendor got beyond the shape: whom it is for and,
// computed anew, who signed it.
func (v vendor) checkBody(t *testing.T, request *http.Request, body []byte, before time.Time) {
	t.Helper()
	want := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	fresh := func(text string, unit time.Duration) {
		t.Helper()
		number, err := strconv.ParseInt(text, 10, 64)
		if at := time.Unix(0, number*int64(unit)); err != nil || at.Before(before.Truncate(unit)) || at.After(time.Now()) {
			t.Errorf("timestamp is %q, want now", text)
		}
	}
	switch v.preset {
	case DingTalk:
		doc := shape[docDingTalk](t, body)
		want("msgtype", doc.MsgType, "markdown")
		query := request.URL.Query()
		want("access_token", query.Get("access_token"), vendorToken)
		fresh(query.Get("timestamp"), time.Millisecond)
		mac := hmac.New(sha256.New, []byte(vendorKey))
		mac.Write([]byte(query.Get("timestamp") + "\n" + vendorKey))
		want("sign", query.Get("sign"), base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		if !strings.Contains(request.URL.RawQuery, "sign="+url.QueryEscape(query.Get("sign"))) {
			t.Errorf("sign is not escaped in %s", request.URL.RawQuery)
		}
	case WeCom:
		want("msgtype", shape[docWeCom](t, body).MsgType, "markdown")
	case Feishu, Lark:
		doc := shape[docFeishu](t, body)
		want("msg_type", doc.MsgType, "text")
		fresh(doc.Timestamp, time.Second)
		want("sign", doc.Sign, base64.StdEncoding.EncodeToString(hmac.New(sha256.New, []byte(doc.Timestamp+"\n"+vendorKey)).Sum(nil)))
	case Slack:
		doc := shape[docSlack](t, body)
		want("blocks", doc.Blocks[0].Type+" "+doc.Blocks[0].Text.Type+" "+doc.Blocks[1].Type+" "+doc.Blocks[1].Text.Type, "header plain_text section mrkdwn")
	case Teams:
		card := shape[docTeams](t, body).Attachments[0]
		want("contentType", card.ContentType, "application/vnd.microsoft.card.adaptive")
		want("card", card.Content.Type+" "+card.Content.Body[0].Inlines[0].Color, "AdaptiveCard attention")
	case Telegram:
		want("chat_id", shape[docTelegram](t, body).ChatID, "-1001234")
	case Discord:
		doc := shape[docDiscord](t, body)
		if doc.Mentions.Parse == nil || len(doc.Mentions.Parse) > 0 {
			t.Errorf("allowed_mentions is %v, want an empty list", doc.Mentions)
		}
	case PagerDuty:
		doc := shape[docPagerDuty](t, body)
		want("event", doc.RoutingKey+" "+doc.Action+" "+doc.DedupKey, vendorToken+" trigger hacheck/lb1.example.com/instance/VI_1")
		want("payload", doc.Payload.Severity+" "+doc.Payload.Source+" "+doc.Payload.Component, "critical lb1.example.com VI_1")
	case Ntfy:
		doc := shape[docNtfy](t, body)
		want("topic", doc.Topic, vendorTopic)
		want("priority", strconv.Itoa(doc.Priority), "5")
		want("Authorization", request.Header.Get("Authorization"), "Bearer "+vendorToken)
	case Bark:
		doc := shape[docBark](t, body)
		want("to", doc.DeviceKey+" "+doc.Level+" "+doc.Group, vendorToken+" timeSensitive hacheck")
	case ServerChan:
		if title := shape[docServerChan](t, body).Title; utf8.RuneCountInString(title) > 32 {
			t.Errorf("title %q has more than 32 characters", title)
		}
	case Alertmanager:
		doc := shape[[]docAlert](t, body)
		want("alerts", fmt.Sprint(len(doc), doc[0].Labels), "1 map[alertname:VRRPFault node:lb1.example.com severity:critical site:berlin vrrp_instance:VI_1]")
		want("Authorization", request.Header.Get("Authorization"), "Bearer "+vendorToken)
	}
}

func TestDelivery(t *testing.T) {
	for _, v := range vendors() {
		t.Run(string(v.preset), func(t *testing.T) {
			r := receive(t, v.status, v.success)
			before := time.Now()
			if err := v.channel(t, r.URL).Notify(t.Context(), notifytest.Notification()); err != nil {
				t.Fatal(err)
			}
			if len(r.requests) != 1 {
				t.Fatalf("%d requests, want 1", len(r.requests))
			}
			request := r.requests[0]
			got := request.RequestURI
			if v.preset == DingTalk {
				got = request.URL.Path // its parameters are checked one by one
			}
			if request.Method != http.MethodPost || got != v.request {
				t.Errorf("request is %s %s, want POST %s", request.Method, got, v.request)
			}
			if got := request.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("Content-Type is %q", got)
			}
			v.checkBody(t, request, r.bodies[0], before)
		})
	}
}

// TestUnsigned leaves the key out where it is optional.
func TestUnsigned(t *testing.T) {
	for _, preset := range []Preset{DingTalk, Feishu} {
		r := receive(t, 200, `{"errcode":0,"code":0}`)
		if err := must(t, Config{Name: "hook", Preset: preset, URL: r.URL}).Notify(t.Context(), notifytest.Notification()); err != nil {
			t.Fatal(err)
		}
		if r.requests[0].RequestURI != "/" || bytes.Contains(r.bodies[0], []byte("sign")) {
			t.Errorf("%s: %s got %s", preset, r.requests[0].RequestURI, r.bodies[0])
		}
	}
}

func TestAnswers(t *testing.T) {
	const (
		good = iota
		temporary
		waits
		final
	)
	portal := "<!DOCTYPE html><title>Log in</title>"
	type answered struct {
		preset Preset
		status int
		body   string
		class  int
		wait   time.Duration
		said   string // the end of the error
	}
	table := []answered{
		{DingTalk, 200, `{"errcode":310000,"errmsg":"sign not match"}`, final, 0, "200 OK: errcode 310000: sign not match"},
		{DingTalk, 200, `{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`, waits, 10 * time.Minute, "errcode 130101: send too fast, exceed 20 times per minute (the peer asks to wait 10m0s)"},
		{DingTalk, 200, `{"errcode":-1,"errmsg":"系统繁忙"}`, temporary, 0, "200 OK: errcode -1: 系统繁忙"},
		{DingTalk, 200, `{"errmsg":"ok"}`, temporary, 0, `200 OK, but the answer is none of dingtalk: {"errmsg":"ok"}`},
		{WeCom, 200, `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1]"}`, final, 0, "errcode 93000: invalid webhook url, hint: [1]"},
		{WeCom, 200, `{"errcode":45009,"errmsg":"api freq out of limit"}`, waits, time.Minute, "errcode 45009: api freq out of limit (the peer asks to wait 1m0s)"},
		{WeCom, 200, `{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}`, final, 0, "errcode 40058: markdown.content exceed max length 4096"},
		{Feishu, 200, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`, final, 0, "code 19021: sign match fail or timestamp is not within one hour from current time"},
		{Feishu, 400, `{"code":9499,"msg":"Bad Request","data":{}}`, final, 0, "400 Bad Request: code 9499: Bad Request"},
		{Feishu, 400, `{"code":9499,"msg":"too many request","data":{}}`, waits, time.Minute, "400 Bad Request: code 9499: too many request (the peer asks to wait 1m0s)"},
		{Feishu, 400, `{"code":11232,"msg":"frequency limited psm"}`, waits, time.Minute, "400 Bad Request: code 11232: frequency limited psm (the peer asks to wait 1m0s)"},
		{Lark, 200, `{"code":19024,"msg":"Key Words Not Found"}`, final, 0, "code 19024: Key Words Not Found"},
		{Slack, 200, `{"ok":true}`, good, 0, ""},
		{Slack, 200, `{"success":true}`, good, 0, ""},
		{Slack, 400, `{"success":false,"error":"invalid-channel"}`, final, 0, "400 Bad Request: error invalid-channel"},
		{Slack, 200, `{"success":false}`, temporary, 0, "200 OK: error"},
		{Slack, 200, `{"ok":false,"success":true,"error":"ratelimited"}`, temporary, 0, "200 OK: error ratelimited"},
		{Slack, 200, `{"ok":false,"error":"channel_not_found"}`, final, 0, "200 OK: error channel_not_found"},
		{Slack, 200, `{"ok":false,"error":"ratelimited"}`, temporary, 0, "200 OK: error ratelimited"},
		{Slack, 403, "action_prohibited", final, 0, "403 Forbidden: action_prohibited"},
		{Slack, 404, "no_service", final, 0, "404 Not Found: no_service"},
		{Teams, 200, "1", good, 0, ""},
		{Teams, 200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429", temporary, 0, "returned HTTP error 429"},
		{Teams, 400, `{"error":{"code":"TriggerInputSchemaMismatch","message":"The input body does not match"}}`, final, 0, "400 Bad Request: TriggerInputSchemaMismatch: The input body does not match"},
		{Telegram, 429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 17","parameters":{"retry_after":17}}`, waits, 17 * time.Second, "429 Too Many Requests: error_code 429: Too Many Requests: retry after 17 (the peer asks to wait 17s)"},
		{Telegram, 200, `{"ok":false,"error_code":429,"description":"slow down","parameters":{"retry_after":5}}`, waits, 5 * time.Second, "error_code 429: slow down (the peer asks to wait 5s)"},
		{Telegram, 200, `{"ok":false,"error_code":403,"description":"Forbidden: bot was kicked"}`, final, 0, "200 OK: error_code 403: Forbidden: bot was kicked"},
		{Telegram, 400, `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded","parameters":{"migrate_to_chat_id":-1009}}`, final, 0, "error_code 400: the group has a new chat_id, -1009: Bad Request: group chat was upgraded"},
		{Telegram, 200, `{"ok":false,"error_code":500,"description":"Internal"}`, temporary, 0, "200 OK: error_code 500: Internal"},
		{Discord, 204, ``, good, 0, ""},
		{Discord, 429, `{"message":"You are being rate limited.","retry_after":0.65,"global":false}`, waits, 650 * time.Millisecond, "429 Too Many Requests: You are being rate limited. (the peer asks to wait 650ms)"},
		{Discord, 404, `{"message":"Unknown Webhook","code":10015}`, final, 0, "404 Not Found: code 10015: Unknown Webhook"},
		{Discord, 200, `{"message":"?"}`, temporary, 0, "200 OK, but the answer is none of discord: code 0: ?"},
		{PagerDuty, 400, `{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}`, final, 0, "400 Bad Request: invalid event: Event object is invalid (Length of 'routing_key' is incorrect (should be 32 characters))"},
		{PagerDuty, 429, `{"status":"throttle exceeded","message":"Requests for this service are arriving too quickly."}`, temporary, 0, "429 Too Many Requests: throttle exceeded: Requests for this service are arriving too quickly."},
		{PagerDuty, 200, `{"status":"odd","message":"?"}`, temporary, 0, "200 OK, but the answer is none of pagerduty: odd: ?"},
		{Ntfy, 429, `{"code":42901,"http":429,"error":"limit reached: too many requests"}`, waits, 10 * time.Second, "code 42901: limit reached: too many requests (the peer asks to wait 10s)"},
		{Ntfy, 429, `{"code":42908,"http":429,"error":"limit reached: daily message quota reached"}`, waits, time.Hour, "daily message quota reached (the peer asks to wait 1h0m0s)"},
		{Ntfy, 200, `{"code":40301,"http":403,"error":"forbidden"}`, final, 0, "200 OK: code 40301: forbidden"},
		{Ntfy, 403, `{"code":40301,"http":403,"error":"forbidden"}`, final, 0, "403 Forbidden: code 40301: forbidden"},
		{Ntfy, 200, `{"id":"x","event":"open"}`, temporary, 0, `but the answer is none of ntfy: {"id":"x","event":"open"}`},
		{Bark, 400, `{"code":400,"message":"failed to get device token","timestamp":1}`, final, 0, "400 Bad Request: code 400: failed to get device token"},
		{Bark, 200, `{"code":400,"message":"device key is empty","timestamp":1}`, final, 0, "200 OK: code 400: device key is empty"},
		{Bark, 200, `{"code":500,"message":"push failed","timestamp":1}`, temporary, 0, "200 OK: code 500: push failed"},
		{ServerChan, 200, `{"code":40001,"message":"[AUTH]超过当天的发送次数限制[5]"}`, waits, time.Hour, "code 40001: [AUTH]超过当天的发送次数限制[5] (the peer asks to wait 1h0m0s)"},
		{ServerChan, 400, `{"code":40001,"message":"[AUTH]错误的Key"}`, final, 0, "400 Bad Request: code 40001: [AUTH]错误的Key"},
		{ServerChan, 200, `{"code":40001,"message":"[AUTH]错误的Key"}`, final, 0, "200 OK: code 40001: [AUTH]错误的Key"},
		{ServerChan, 200, `{"code":50000,"message":"?"}`, temporary, 0, "200 OK: code 50000: ?"},
		{Alertmanager, 400, `"start time must be before end time"`, final, 0, "400 Bad Request: start time must be before end time (of several alerts the valid ones were taken)"},
		{Alertmanager, 503, "starting", temporary, 0, "503 Service Unavailable: starting"},
	}
	for _, v := range vendors() {
		table = append(table,
			answered{v.preset, v.status, v.success, good, 0, ""},
			answered{v.preset, 200, portal, temporary, 0, "200 OK, but the answer is none of " + string(v.preset) + ": " + portal},
			answered{v.preset, 200, `{"errcode":0,"code`, temporary, 0, ", but the answer is none of " + string(v.preset) + `: {"errcode":0,"code`},
			answered{v.preset, 200, `[]`, temporary, 0, ", but the answer is none of " + string(v.preset) + `: []`},
			answered{v.preset, 502, portal, temporary, 0, "502 Bad Gateway: " + portal},
			answered{v.preset, 404, portal, final, 0, "404 Not Found: " + portal},
		)
		if v.preset != Alertmanager {
			table = append(table, answered{v.preset, 200, "", temporary, 0, "200 OK, but the answer is none of " + string(v.preset)})
		}
	}
	for _, test := range table {
		t.Run(fmt.Sprintf("%s %d %.40s", test.preset, test.status, test.body), func(t *testing.T) {
			r := receive(t, test.status, test.body)
			err := find(t, test.preset).channel(t, r.URL).Notify(t.Context(), notifytest.Notification())
			if test.class == good {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "webhook "+r.URL+": ") || !strings.HasSuffix(err.Error(), test.said) {
				t.Fatalf("error is\n%v, want it to end in\n%s", err, test.said)
			}
			notifytest.CheckText(t, err, vendorSecrets())
			var later *notify.RetryAfterError
			switch {
			case notify.IsPermanent(err) != (test.class == final):
				t.Errorf("permanent is %t (%v)", notify.IsPermanent(err), err)
			case errors.As(err, &later) != (test.class == waits):
				t.Errorf("%#v names a time: %t", err, errors.As(err, &later))
			case test.class == waits && later.After != test.wait:
				t.Errorf("wait is %s, want %s", later.After, test.wait)
			}
		})
	}
}

func find(t *testing.T, preset Preset) vendor {
	t.Helper()
	for _, v := range vendors() {
		if v.preset == preset {
			return v
		}
	}
	t.Fatalf("no vendor %s", preset)
	return vendor{}
}

// TestTheLongerWaitCounts lets a header and a body ask for a time each.
func TestTheLongerWaitCounts(t *testing.T) {
	for _, test := range []struct {
		header, body string
		want         time.Duration
	}{
		{"3", "17", 17 * time.Second},
		{"30", "17.5", 30 * time.Second},
		{"", "1e99", 24 * time.Hour},
		{"5", "-1", 5 * time.Second},
	} {
		r := receive(t, 429, `{"message":"slow","retry_after":`+test.body+`}`)
		if test.header != "" {
			r.header.Set("Retry-After", test.header)
		}
		err := find(t, Discord).channel(t, r.URL).Notify(t.Context(), notifytest.Notification())
		var later *notify.RetryAfterError
		if !errors.As(err, &later) || later.After != test.want {
			t.Errorf("header %q, body %s: %v, want a wait of %s", test.header, test.body, err, test.want)
		}
	}
}

// TestEveryStatus holds every preset to the classes of HTTP's bad statuses.
func TestEveryStatus(t *testing.T) {
	for _, v := range vendors() {
		r := receive(t, 0, "no")
		n := v.channel(t, r.URL)
		for r.status = 300; r.status <= 599; r.status++ {
			err := n.Notify(t.Context(), notifytest.Notification())
			temporary := r.status == 408 || r.status == 425 || r.status == 429 || r.status >= 500
			if err == nil || notify.IsPermanent(err) == temporary {
				t.Errorf("%s: %d: %v, want temporary: %t", v.preset, r.status, err, temporary)
			}
		}
	}
}

// TestContractOfPresets lets presets meet every odd peer that the generic one
// meets: one that reads the body of its answers, with secrets in the query and
// the signature, and one with a secret in the path.
func TestContractOfPresets(t *testing.T) {
	for _, preset := range []Preset{DingTalk, Telegram} {
		t.Run(string(preset), func(t *testing.T) {
			t.Parallel()
			v := find(t, preset)
			contract := notifytest.Contract{
				New:         func(t *testing.T, address string) notify.Notifier { return v.channel(t, "http://"+address) },
				Prologue:    "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
				ClientFirst: true,
				Secrets:     vendorSecrets(),
			}
			contract.Run(t)
			t.Run("secrets", contract.NoSecrets)
		})
	}
}

// TestSecrets lets receivers repeat all that they were sent, with good and bad
// statuses.
func TestSecrets(t *testing.T) {
	for _, v := range vendors() {
		for _, status := range []int{200, 400, 500} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.WriteHeader(status)
				fmt.Fprintf(w, "%s %s %s %s %s", r.RequestURI, r.URL.Path, r.URL.Query(), r.Header, body)
			}))
			channel := v.channel(t, server.URL)
			if err := channel.Notify(t.Context(), notifytest.Notification()); err == nil {
				t.Errorf("%s: an echo is taken for success", v.preset)
			}
			notifytest.Secrets(t, channel, vendorSecrets())
			server.Close()
		}
	}
}

// hostile tries whatever a service could take for more than letters.
const hostile = `<!channel> <!here> @everyone @here @all <@all> <@U123> <@&9> [x](http://evil.example) ![i](http://evil.example) ` +
	"**b** _i_ ~~s~~ `c` ``` ||s|| <b>b</b> <at user_id=\"all\">all</at> <font color=\"warning\">f</font> <http://evil.example|x> " +
	`&#91;x&#93; \[x\] #tag /start :rotating_light: </pre>`

func hostileMessage() notify.Message {
	lines := []string{hostile, "# heading", "## " + hostile, "> quote", "- list", "+ list", "* list", "1. list", "2) list", "---", "===", "    code " + hostile, "```", "VI_1 my_instance_2", "```js", hostile}
	return notify.Message{Subject: hostile, Text: strings.Join(lines, "\n") + "\n"}
}

// TestHostile decodes what services would show and looks for what they would
// not show as it is.
func TestHostile(t *testing.T) {
	for _, preset := range Presets() {
		t.Run(string(preset), func(t *testing.T) {
			kind, _ := preset.preset()
			n := tell(notify.Notification{Event: notifytest.Hostile()})
			n.message = hostileMessage()
			posts, err := kind.posts(n)
			if err != nil {
				t.Fatal(err)
			}
			body := posts[0].body
			if !utf8.Valid(body) {
				t.Error("the body is not UTF-8")
			}
			checkHarmless(t, preset, body)
		})
	}
}

// block is a line that Markdown could begin a block with.
var block = regexp.MustCompile(`(?m)^( *[#>=+*-]|\d+[.)]|    |\t)`)

func checkHarmless(t *testing.T, preset Preset, body []byte) {
	t.Helper()
	plain := func(text string) {
		t.Helper()
		if found := regexp.MustCompile("[<>*`~\\\\@]|\\] *[(\\[:]").FindString(text); found != "" {
			t.Errorf("%q has a meaning in %s", found, text)
		}
		if found := block.FindString(text); found != "" {
			t.Errorf("a line begins with %q in %s", found, text)
		}
		if regexp.MustCompile(`(^|\W)_|_(\W|$)|&#`).MatchString(text) {
			t.Errorf("an emphasis or an entity is left in %s", text)
		}
		if strings.Contains(text, "list") && !strings.Contains(text, "VI_1 my_instance_2") {
			t.Errorf("a harmless name was changed in %s", text)
		}
	}
	one := func(text string) {
		t.Helper()
		if !strings.HasPrefix(text, "```\n") || !strings.HasSuffix(text, "\n```") || strings.Count(text, "```") != 2 {
			t.Errorf("not one block of code: %s", text)
		}
	}
	switch preset {
	case DingTalk:
		doc := shape[docDingTalk](t, body)
		text, found := strings.CutPrefix(doc.Markdown.Text, "#### ")
		if !found || doc.At.IsAtAll {
			t.Errorf("text is %q, at all %t", doc.Markdown.Text, doc.At.IsAtAll)
		}
		plain(text)
		plain(doc.Markdown.Title)
	case WeCom:
		first, text, _ := strings.Cut(shape[docWeCom](t, body).Markdown.Content, "\n")
		plain(text)
		plain(strings.TrimSuffix(strings.TrimPrefix(first, "**"), "**"))
	case Feishu, Lark:
		if text := shape[docFeishu](t, body).Content.Text; strings.Contains(text, "<") || strings.Contains(text, "](") {
			t.Errorf("a tag or a link in %s", text)
		}
	case Slack:
		doc := shape[docSlack](t, body)
		one(doc.Blocks[1].Text.Text)
		for _, text := range []string{doc.Text, doc.Blocks[1].Text.Text} {
			if strings.ContainsAny(text, "<>") || regexp.MustCompile(`&[^agl]`).MatchString(text) {
				t.Errorf("not escaped: %s", text)
			}
		}
		if !doc.Blocks[1].Text.Verbatim || doc.Blocks[0].Text.Emoji {
			t.Errorf("Slack would look for links or emojis: %+v", doc.Blocks)
		}
	case Teams:
		for _, block := range shape[docTeams](t, body).Attachments[0].Content.Body {
			if block.Type != "RichTextBlock" || block.Inlines[0].Type != "TextRun" {
				t.Errorf("%s knows Markdown", block.Type)
			}
		}
	case Telegram:
		doc := shape[docTelegram](t, body) // which has no parse_mode
		text := utf16.Encode([]rune(doc.Text))
		bold, pre := doc.Entities[0], doc.Entities[1]
		title := string(utf16.Decode(text[:bold.Length]))
		if bold.Type != "bold" || strings.ContainsAny(title, "@#/$") {
			t.Errorf("title is %s", title)
		}
		if pre.Type != "pre" || pre.Offset != bold.Length+2 || pre.Offset+pre.Length != len(text) {
			t.Errorf("%+v does not cover the %d units of the text", pre, len(text))
		}
	case Discord:
		content := shape[docDiscord](t, body).Content
		first, text, _ := strings.Cut(content, "\n")
		one(text)
		title := strings.TrimSuffix(strings.TrimPrefix(first, "**"), "**")
		if bare := regexp.MustCompile(`\\.`).ReplaceAllString(title, ""); strings.ContainsAny(bare, "\\`*_~|<>[]()#-@:") {
			t.Errorf("%s is left of the title %s", bare, title)
		}
	case ServerChan:
		one(shape[docServerChan](t, body).Desp)
	case PagerDuty:
		shape[docPagerDuty](t, body)
	case Ntfy:
		shape[docNtfy](t, body) // which has no markdown
	case Bark:
		shape[docBark](t, body) // which has no markdown
	case Alertmanager:
		for _, alert := range shape[[]docAlert](t, body) {
			for name, value := range alert.Labels {
				if len(value) > 300 || strings.ContainsAny(value, "\n\r\x00\x1b") {
					t.Errorf("label %s is %q", name, value)
				}
			}
		}
	}
}

// TestLimits makes every text far too long and counts as the vendors do.
func TestLimits(t *testing.T) {
	characters := utf8.RuneCountInString
	units := func(text string) int { return len(utf16.Encode([]rune(text))) }
	for _, unit := range []string{"长", "😀", "a", "\"", "<", "é\n", "x ", "\n", " \n  "} {
		for _, preset := range Presets() {
			kind, _ := preset.preset()
			n := tell(notifytest.Notification())
			n.notification.RunbookURL = "https://wiki.example.com/" + strings.Repeat("x", 475)
			n.message = notify.Message{Subject: strings.Repeat("S长😀", 500), Text: strings.Repeat(unit, 200_000/len(unit))}
			posts, err := kind.posts(n)
			if err != nil {
				t.Fatal(err)
			}
			body := posts[0].body
			within := func(what string, got, limit int) {
				t.Helper()
				if got > limit {
					t.Errorf("%s of %q: %s is %d, limit %d", preset, unit, what, got, limit)
				}
			}
			marked := func(text string) {
				t.Helper()
				if unit != "\n" && unit != " \n  " && !strings.Contains(text[max(0, len(text)-10):], "…") {
					t.Errorf("%s of %q: no mark at the end of %q", preset, unit, text[max(0, len(text)-40):])
				}
			}
			if strings.ContainsRune(string(body), utf8.RuneError) {
				t.Errorf("%s of %q: a character was cut", preset, unit)
			}
			switch preset {
			case DingTalk:
				within("body", len(body), 20_000)
				marked(shape[docDingTalk](t, body).Markdown.Text)
			case WeCom:
				content := shape[docWeCom](t, body).Markdown.Content
				within("content", len(content), 4096)
				marked(content)
			case Feishu, Lark:
				within("body", len(body), 20_000)
				marked(shape[docFeishu](t, body).Content.Text)
			case Slack:
				doc := shape[docSlack](t, body)
				within("header", units(doc.Blocks[0].Text.Text), 150*2)
				within("header", characters(doc.Blocks[0].Text.Text), 150)
				within("section", units(doc.Blocks[1].Text.Text), 3000)
				within("text", units(doc.Text), 4000)
				marked(doc.Blocks[1].Text.Text)
			case Teams:
				within("body", len(body), 28_000)
				blocks := shape[docTeams](t, body).Attachments[0].Content.Body
				marked(blocks[len(blocks)-1].Inlines[0].Text)
			case Telegram:
				text := shape[docTelegram](t, body).Text
				within("text", units(text), 4096)
				marked(text)
			case Discord:
				content := shape[docDiscord](t, body).Content
				within("content", units(content), 2000)
				marked(content)
			case PagerDuty:
				within("body", len(body), 512_000)
				within("summary", characters(shape[docPagerDuty](t, body).Payload.Summary), 1024)
			case Ntfy:
				doc := shape[docNtfy](t, body)
				within("message", len(doc.Message), 4096)
				within("title", len(doc.Title), 250)
				marked(doc.Message)
			case Bark:
				within("body", len(body), 4000)
				marked(shape[docBark](t, body).Body)
			case ServerChan:
				doc := shape[docServerChan](t, body)
				within("title", characters(doc.Title), 32)
				within("text", len(doc.Desp), 32_000)
				marked(doc.Desp)
			}
		}
	}
}

// TestPreview compares what every preset would send with a golden file, and
// with what it sends.
func TestPreview(t *testing.T) {
	for _, v := range vendors() {
		n := v.channel(t, "https://hooks.example.com")
		n.cfg.UserAgent = "hacheck/1.2.3"
		first, err := n.Preview(failover())
		if err != nil {
			t.Fatal(err)
		}
		again, err := n.Preview(failover())
		if err != nil || first != again {
			t.Errorf("%s: a second preview differs: %v", v.preset, err)
		}
		notifytest.CheckPreview(t, first, vendorSecrets())
		head, body, _ := strings.Cut(first, "\n\n")
		line, _, _ := strings.Cut(head, "\n")
		want := map[Preset]string{
			DingTalk:     "POST https://hooks.example.com/***?***&sign=***&timestamp=***",
			WeCom:        "POST https://hooks.example.com/***?***",
			Feishu:       "POST https://hooks.example.com/***",
			Lark:         "POST https://hooks.example.com/***",
			Slack:        "POST https://hooks.example.com/***",
			Teams:        "POST https://hooks.example.com/***?***",
			Telegram:     "POST https://hooks.example.com/bot***/sendMessage",
			Discord:      "POST https://hooks.example.com/***?***&wait=true",
			PagerDuty:    "POST https://hooks.example.com/v2/enqueue",
			Ntfy:         "POST https://hooks.example.com",
			Bark:         "POST https://hooks.example.com/push",
			ServerChan:   "POST https://hooks.example.com/***.send",
			Alertmanager: "POST https://hooks.example.com/***/api/v2/alerts",
		}[v.preset]
		if line != want {
			t.Errorf("%s: request line is %q, want %q", v.preset, line, want)
		}
		if !strings.Contains(head, "\nUser-Agent: hacheck/1.2.3") || !strings.Contains(head, "\nContent-Type: application/json; charset=utf-8\n") {
			t.Errorf("%s: headers are\n%s", v.preset, head)
		}
		if masked := strings.Contains(head, "\nAuthorization: "); masked && !strings.Contains(head, "***") {
			t.Errorf("%s: headers are\n%s", v.preset, head)
		}
		if !strings.Contains(body, "\n  ") {
			t.Errorf("%s: the body is not pretty:\n%s", v.preset, body)
		}
	}
	n := must(t, Config{Name: "hook", Preset: Ntfy, Topic: "ops", TokenFile: "/does/not/exist"})
	if _, err := n.Preview(notifytest.Notification()); err == nil || err.Error() != "webhook: read token_file: open /does/not/exist: no such file or directory" {
		t.Errorf("error is %v", err)
	}
	signed, err := must(t, Config{Name: "hook", URL: "https://x.example/path", SecretFile: file(t, "key", vendorKey)}).Preview(notifytest.Notification())
	if err != nil || !strings.Contains(signed, "\nX-Hacheck-Signature: t=***,v1=***\n") {
		t.Errorf("error %v, preview\n%s", err, signed)
	}
}

func TestProxy(t *testing.T) {
	proxy := record(t)
	t.Run("named", func(t *testing.T) {
		n := must(t, Config{Name: "hook", URL: "http://hooks.invalid/path", Proxy: strings.Replace(proxy.URL, "http://", "http://user:"+userSecret+"@", 1)})
		if err := n.Notify(t.Context(), notifytest.Notification()); err != nil || proxy.uri != "POST http://hooks.invalid/path" {
			t.Errorf("error %v, the proxy got %q", err, proxy.uri)
		}
		if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+userSecret)); proxy.header.Get("Proxy-Authorization") != want {
			t.Errorf("the proxy got the authorization %q, want %q", proxy.header.Get("Proxy-Authorization"), want)
		}
	})
	t.Run("refuses", func(t *testing.T) {
		proxy.status = http.StatusProxyAuthRequired
		n := must(t, Config{Name: "hook", URL: "https://hooks.invalid/path", Proxy: strings.Replace(proxy.URL, "http://", "http://user:"+userSecret+"@", 1)})
		err := n.Notify(t.Context(), notifytest.Notification())
		if err == nil || notify.IsPermanent(err) || !strings.Contains(err.Error(), "Proxy Authentication Required") {
			t.Errorf("error is %v", err)
		}
		notifytest.CheckText(t, err, []string{userSecret})
	})
	t.Run("nobody listens", func(t *testing.T) {
		listener := notifytest.Listen(t)
		listener.Close()
		n := must(t, Config{Name: "hook", URL: "http://hooks.invalid/path", Proxy: "socks5://user:" + userSecret + "@" + listener.Addr().String()})
		err := n.Notify(t.Context(), notifytest.Notification())
		if err == nil || notify.IsPermanent(err) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error is %v", err)
		}
		notifytest.CheckText(t, err, []string{userSecret})
	})
}

func TestPresetErrors(t *testing.T) {
	url := func(preset Preset) Config {
		return Config{Name: "hook", Preset: preset, URL: "https://x.example/" + pathSecret}
	}
	with := func(cfg Config, change func(*Config)) Config { change(&cfg); return cfg }
	for _, test := range []struct {
		want string
		cfg  Config
	}{
		{`preset: "slak" is none of generic, dingtalk, wecom, feishu, lark, slack, teams, telegram, discord, pagerduty, ntfy, bark, serverchan, alertmanager`, url("slak")},
		{"url: is missing; set url, or url_file to keep it secret", Config{Name: "hook", Preset: Slack}},
		{"secret_file: slack takes no signed requests; remove it", with(url(Slack), func(c *Config) { c.SecretFile = "/key" })},
		{"token_file: is not for wecom, whose credential is a part of the URL; use url_file", with(url(WeCom), func(c *Config) { c.TokenFile = "/token" })},
		{"token_file: is missing; name a file that holds the integration's routing key", Config{Name: "hook", Preset: PagerDuty}},
		{"token_file: is neither an absolute path nor the bare name of a systemd credential", Config{Name: "hook", Preset: Bark, TokenFile: "a/b"}},
		{"chat_id: is missing; give the number of the chat, or the @name of a public channel", Config{Name: "hook", Preset: Telegram, TokenFile: "token"}},
		{"chat_id: is for telegram, not for discord", with(url(Discord), func(c *Config) { c.ChatID = "1" })},
		{"topic: is missing; set topic, or topic_file to keep it secret", Config{Name: "hook", Preset: Ntfy}},
		{"topic_file: is set together with topic; keep one of them", Config{Name: "hook", Preset: Ntfy, Topic: "a", TopicFile: "/a"}},
		{"topic: must be 1 to 64 letters, digits, '_' and '-'", Config{Name: "hook", Preset: Ntfy, Topic: "a/b"}},
		{"topic: is for ntfy, not for generic", with(url(""), func(c *Config) { c.Topic = "a" })},
		{"labels: is for alertmanager, not for teams", with(url(Teams), func(c *Config) { c.Labels = map[string]string{"a": "b"} })},
		{"labels: node is set by hacheck itself", with(url(Alertmanager), func(c *Config) { c.Labels = map[string]string{"node": "b"} })},
		{`labels: "a-b" is not a label name: letters, digits and '_', no digit first`, with(url(Alertmanager), func(c *Config) { c.Labels = map[string]string{"a-b": "b"} })},
		{"urls: is for the members of an Alertmanager cluster, not for slack; use url or url_file", Config{Name: "hook", Preset: Slack, URLs: []string{"https://x.example"}}},
		{"urls: is set together with url or url_file; keep one of them", with(url(Alertmanager), func(c *Config) { c.URLs = []string{"https://x.example"} })},
		{"urls: is for one channel each; see Split", Config{Name: "hook", Preset: Alertmanager, URLs: []string{"https://x.example", "https://y.example"}}},
		{`proxy: must begin with http://, https:// or socks5://, or be "none"`, with(url(""), func(c *Config) { c.Proxy = "proxy.example:3128" })},
		{"proxy: names no host", with(url(""), func(c *Config) { c.Proxy = "http://" })},
		{"proxy: is not a valid URL (its text is not shown, as it may hold a secret)", with(url(""), func(c *Config) { c.Proxy = "http://user:" + userSecret + "\x7f@x" })},
	} {
		_, err := New(test.cfg)
		if err == nil || err.Error() != test.want {
			t.Errorf("error is\n%v, want\n%s", err, test.want)
		}
	}
}

// TestTokenFiles refuses tokens that would end up somewhere else.
func TestTokenFiles(t *testing.T) {
	for _, test := range []struct{ content, want string }{
		{"123:abc/../x", "webhook: token_file: PATH: holds a character that is in no token (its text is not shown)"},
		{"123:abc?x=", "webhook: token_file: PATH: holds a character that is in no token (its text is not shown)"},
		{"one\ntwo\n", "webhook: read token_file: PATH: holds more than one line"},
		{"", "webhook: read token_file: PATH: is empty"},
	} {
		path := file(t, "token", test.content)
		err := must(t, Config{Name: "hook", Preset: ServerChan, TokenFile: path}).Notify(t.Context(), notifytest.Notification())
		if want := strings.Replace(test.want, "PATH", path, 1); err == nil || err.Error() != want || notify.IsPermanent(err) {
			t.Errorf("error is\n%v, want temporary\n%s", err, want)
		}
	}
	path := file(t, "topic", "a/b")
	err := must(t, Config{Name: "hook", Preset: Ntfy, TopicFile: path}).Notify(t.Context(), notifytest.Notification())
	if want := "webhook: topic_file: " + path + ": must hold 1 to 64 letters, digits, '_' and '-'"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestSplit(t *testing.T) {
	parts := Config{Name: "am", Preset: Alertmanager, URLs: []string{
		"http://am1.example:9093", "http://user:" + userSecret + "@am2.example:9093/", "http://am1.example:9093", "http://am1.example:9093/b", "nonsense " + pathSecret,
	}}.Split()
	var got []string
	for _, part := range parts {
		n, err := New(part)
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, n.Name()+" "+n.cfg.URL)
	}
	want := []string{
		"am/am1.example:9093 http://am1.example:9093",
		"am/am2.example:9093 http://user:" + userSecret + "@am2.example:9093/",
		"am/am1.example:9093/b http://am1.example:9093/b",
		"urls: item 5 must begin with http:// or https://",
	}
	if !slices.Equal(got, want) {
		t.Errorf("parts are\n%q, want\n%q", got, want)
	}
	if parts := (Config{Name: "hook", URL: "http://x"}).Split(); len(parts) != 1 || parts[0].Name != "hook" {
		t.Errorf("parts are %+v, want the whole", parts)
	}
}

func TestPresetLimits(t *testing.T) {
	for _, preset := range Presets() {
		requests, per := preset.Limit()
		if (requests == 0) != (per == 0) || requests < 0 || per < 0 {
			t.Errorf("%s: %d in %s", preset, requests, per)
		}
	}
	if requests, per := DingTalk.Limit(); requests != 20 || per != time.Minute {
		t.Errorf("dingtalk: %d in %s", requests, per)
	}
}

// FuzzAnswers gives every preset any answer: what it says is bounded and of one
// class, and without a vendor's own words nothing is a success.
func FuzzAnswers(f *testing.F) {
	for _, v := range vendors() {
		f.Add(v.status, []byte(v.success))
	}
	f.Add(429, []byte(`{"ok":false,"error_code":429,"parameters":{"retry_after":1e400}}`))
	f.Add(200, []byte(`{"message":"x","retry_after":-1}`))
	f.Add(200, []byte(`{"errcode":"0"}`))
	f.Add(400, []byte(`"text"`))
	f.Add(200, []byte("<html>"))
	now := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		for _, preset := range Presets() {
			kind, _ := preset.preset()
			if kind.answered == nil {
				continue
			}
			a := kind.answered(status, body)
			if a.wait < 0 || a.wait > maxRetryAfter {
				t.Errorf("%s: wait is %s", preset, a.wait)
			}
			if a.verdict == refused && a.said == "" {
				t.Errorf("%s: refused without a word", preset)
			}
			said := a.said
			if said == "" {
				said = string(body)
			}
			err := outcome(&http.Response{StatusCode: status, Header: http.Header{}}, a, shorten(said), preset, now)
			switch {
			case err == nil && (!good(status) || a.verdict != accepted):
				t.Errorf("%s: %d %q is a success", preset, status, body)
			case err != nil && (len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\r\n\x00") || !utf8.ValidString(err.Error())):
				t.Errorf("%s: error %q", preset, err)
			}
		}
	})
}

// FuzzTexts gives every preset any message.
func FuzzTexts(f *testing.F) {
	f.Add(hostile, hostileMessage().Text, "VI_1")
	f.Add("\xff", "\xf0\x9f", "\x00")
	f.Add("", "", "")
	f.Add("😀", strings.Repeat("`", 5000), "a/b")
	f.Fuzz(func(t *testing.T, subject, text, name string) {
		for _, preset := range Presets() {
			kind, _ := preset.preset()
			n := tell(failover())
			n.notification.Name, n.notification.Host = name, subject
			n.message = notify.Message{Subject: subject, Text: text}
			posts, err := kind.posts(n)
			if err != nil {
				t.Fatalf("%s: %v", preset, err)
			}
			for _, post := range posts {
				if !json.Valid(post.body) || !utf8.Valid(post.body) {
					t.Errorf("%s: body is %q", preset, post.body)
				}
			}
			// A subject never holds a line break; see notify.Message.
			switch preset {
			case Slack, Discord, Telegram, Teams:
				if !strings.ContainsAny(subject+text, "\r\n") {
					checkHarmless(t, preset, posts[0].body)
				}
			}
		}
	})
}
