package webhook

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"hacheck/notify"
)

// Preset is a kind of receiver. Its values are the words of the configuration.
type Preset string

// The kinds of receivers.
const (
	// Generic takes hacheck's own document; see notify.Document and
	// SignatureHeader.
	Generic Preset = "generic"
	// DingTalk, WeCom, Feishu and Lark, which is Feishu's name outside China,
	// are bots in a group chat.
	DingTalk Preset = "dingtalk"
	WeCom    Preset = "wecom"
	Feishu   Preset = "feishu"
	Lark     Preset = "lark"
	// Slack is an incoming webhook, and what imitates one.
	Slack Preset = "slack"
	// Teams is a workflow "when a webhook request is received" of Microsoft
	// Teams, or one of the older connectors.
	Teams Preset = "teams"
	// Telegram is a bot of Telegram in a chat.
	Telegram Preset = "telegram"
	// Discord is a webhook of a channel.
	Discord Preset = "discord"
	// PagerDuty is the Events API v2.
	PagerDuty Preset = "pagerduty"
	// Ntfy, Bark and ServerChan push to phones.
	Ntfy       Preset = "ntfy"
	Bark       Preset = "bark"
	ServerChan Preset = "serverchan"
	// Alertmanager is one member of a Prometheus Alertmanager cluster.
	Alertmanager Preset = "alertmanager"
)

// Presets are all kinds of receivers, in the order of the documentation.
func Presets() []Preset {
	return []Preset{Generic, DingTalk, WeCom, Feishu, Lark, Slack, Teams, Telegram, Discord, PagerDuty, Ntfy, Bark, ServerChan, Alertmanager}
}

// presetNames lists them for an error.
func presetNames() string {
	var names []string
	for _, preset := range Presets() {
		names = append(names, string(preset))
	}
	return strings.Join(names, ", ")
}

// Limit is how many requests a receiver of the kind takes in what time, by its
// documentation; 0 and 0 if that names no limit. Where there is one for a
// short and one for a long time, it keeps to both.
func (p Preset) Limit() (requests int, per time.Duration) {
	switch p {
	case DingTalk, WeCom:
		return 20, time.Minute // DingTalk shuts out who sends more for 10 minutes
	case Feishu, Lark:
		return 5, 3 * time.Second // 100 a minute and 5 a second
	case Slack:
		return 1, time.Second
	case Teams:
		return 4, time.Second
	case Telegram:
		return 1, 3 * time.Second // 20 a minute to a group and 1 a second to a chat
	case Discord:
		return 5, 10 * time.Second // 30 a minute and 5 in 2 seconds
	case PagerDuty:
		return 120, time.Minute
	case Ntfy:
		return 1, 5 * time.Second // ntfy.sh: 60 at once, then this
	default:
		return 0, 0
	}
}

// Home is the vendor's own server, to which a channel of the kind posts that
// names no URL; empty if each has a URL of its own.
func (p Preset) Home() string {
	kind, _ := p.preset()
	return kind.home
}

// preset is all in which one kind of receiver differs from another.
type preset struct {
	home string // see Preset.Home
	// secretURL is whether who knows the URL can post.
	secretURL bool
	// signs is whether requests can be signed with a key.
	signs bool
	// token says what the token file holds; empty if there is none.
	token         string
	tokenOptional bool
	// posts writes what to post, in this order: at least one request, several
	// where each instance needs its own. It is called anew at each attempt, as
	// signatures age.
	posts func(told) ([]post, error)
	// answered reads the answer the receiver gives in the body, whatever its
	// status; nil if the status says it all.
	answered func(status int, body []byte) answer
}

// told is what posts are made of.
type told struct {
	notification notify.Notification
	message      notify.Message
	// alone says one of the notification's events without the others.
	alone  func(notify.Event) notify.Message
	chatID string
	topic  string
	labels map[string]string
	token  string
	key    string
	now    time.Time
}

// post is one request.
type post struct {
	// path is added to the URL's, query takes the place of the URL's
	// parameters of the same names, and header is added to that which every
	// request has.
	path   string
	query  url.Values
	header http.Header
	body   []byte
	// fleeting are the texts that differ from one attempt to the next:
	// signatures and what they are made of.
	fleeting []string
}

// preset gives what there is to know about a kind of receiver.
func (p Preset) preset() (preset, bool) {
	switch p {
	case Generic:
		return preset{signs: true, posts: genericPosts}, true
	case DingTalk:
		return preset{secretURL: true, signs: true, posts: dingtalkPosts, answered: dingtalkAnswered}, true
	case WeCom:
		return preset{secretURL: true, posts: wecomPosts, answered: wecomAnswered}, true
	case Feishu, Lark:
		return preset{secretURL: true, signs: true, posts: feishuPosts, answered: feishuAnswered}, true
	case Slack:
		return preset{secretURL: true, posts: slackPosts, answered: slackAnswered}, true
	case Teams:
		return preset{secretURL: true, posts: teamsPosts, answered: teamsAnswered}, true
	case Telegram:
		return preset{home: "https://api.telegram.org", token: "the bot's token", posts: telegramPosts, answered: telegramAnswered}, true
	case Discord:
		return preset{secretURL: true, posts: discordPosts, answered: discordAnswered}, true
	case PagerDuty:
		return preset{home: "https://events.pagerduty.com", token: "the integration's routing key", posts: pagerdutyPosts, answered: pagerdutyAnswered}, true
	case Ntfy:
		return preset{home: "https://ntfy.sh", token: "an access token", tokenOptional: true, posts: ntfyPosts, answered: ntfyAnswered}, true
	case Bark:
		return preset{home: "https://api.day.app", token: "the device key", posts: barkPosts, answered: barkAnswered}, true
	case ServerChan:
		return preset{home: "https://sctapi.ftqq.com", token: "the SendKey", posts: serverchanPosts, answered: serverchanAnswered}, true
	case Alertmanager:
		return preset{posts: alertmanagerPosts, answered: alertmanagerAnswered}, true
	default:
		return preset{}, false
	}
}
