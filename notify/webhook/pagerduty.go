package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"hacheck/notify"
)

// What PagerDuty takes: a summary in characters, a key in bytes; and of its
// 512 KB an event what the text may have.
const (
	pagerdutySummary = 1024
	pagerdutyKey     = 255
	pagerdutyText    = 100_000
)

// pagerdutyEvent is the body for /v2/enqueue.
type pagerdutyEvent struct {
	RoutingKey string            `json:"routing_key"`
	Action     string            `json:"event_action"`
	DedupKey   string            `json:"dedup_key"`
	Client     string            `json:"client,omitempty"`
	Payload    *pagerdutyPayload `json:"payload,omitempty"` // none to resolve
	Links      []pagerdutyLink   `json:"links,omitempty"`
}

// pagerdutyChange is the body for /v2/change/enqueue.
type pagerdutyChange struct {
	RoutingKey string           `json:"routing_key"`
	Payload    pagerdutyPayload `json:"payload"`
	Links      []pagerdutyLink  `json:"links,omitempty"`
}

type pagerdutyPayload struct {
	Summary   string           `json:"summary"`
	Source    string           `json:"source"`
	Severity  string           `json:"severity,omitempty"` // not for a change
	Timestamp time.Time        `json:"timestamp"`
	Component string           `json:"component,omitempty"`
	Group     string           `json:"group,omitempty"`
	Class     string           `json:"class,omitempty"`
	Details   pagerdutyDetails `json:"custom_details"`
}

type pagerdutyDetails struct {
	State    notify.State `json:"state"`
	Previous notify.State `json:"previous,omitempty"`
	EventID  string       `json:"event_id"`
	Text     string       `json:"text"`
}

type pagerdutyLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// pagerdutyPosts wakes people for what is critical alone. Of each instance and
// sync group it makes
//
//   - an incident (trigger) while it is in FAULT, unless that is planned, or
//     MASTER although its check fails; a reminder triggers the same incident;
//   - its end (resolve) when it left FAULT or MASTER, which may have been such
//     an incident; PagerDuty ignores it if there is none;
//   - a change event, which is shown beside incidents and wakes nobody, for all
//     other news.
//
// A trigger or a resolve that is sent again changes nothing, as it names its
// incident. A change event has no dedup_key: sent again, because an answer got
// lost or another request of the attempt failed, it is listed twice, with the
// same event_id. The change events come last, so that an incident that fails
// repeats none of them.
//
// The instances of a sync group that share its state have no incident of their
// own. A test makes an incident and resolves it at once.
func pagerdutyPosts(t told) ([]post, error) {
	var requests, changes []pagerdutyRequest
	all := subjects(t.notification)
	for _, s := range all {
		switch last := s.last(); {
		case t.notification.Story == notify.Test:
			requests = append(requests, t.trigger(s, notify.Info), t.resolve(s))
		case t.level(last) == notify.Critical:
			if !covered(last, all) {
				requests = append(requests, t.trigger(s, notify.Critical))
			}
		default:
			if s.mayHaveAlarmed() {
				requests = append(requests, t.resolve(s))
			}
			if s.news() && !covered(last, all) {
				changes = append(changes, t.change(s))
			}
		}
	}
	var posts []post
	for _, request := range slices.Concat(requests, changes) {
		body, err := encode(request.body)
		if err != nil {
			return nil, err
		}
		posts = append(posts, post{path: request.path, body: body})
	}
	return posts, nil
}

// pagerdutyRequest is a body and where it goes.
type pagerdutyRequest struct {
	path string
	body any
}

func (t told) trigger(s subject, severity notify.Level) pagerdutyRequest {
	payload := t.pagerdutyPayload(s)
	payload.Severity = string(severity)
	return pagerdutyRequest{"/v2/enqueue", pagerdutyEvent{
		RoutingKey: t.token, Action: "trigger", DedupKey: dedupKey(t.notification, s.last()),
		Client: "hacheck", Payload: &payload, Links: t.pagerdutyLinks(),
	}}
}

func (t told) resolve(s subject) pagerdutyRequest {
	return pagerdutyRequest{"/v2/enqueue", pagerdutyEvent{
		RoutingKey: t.token, Action: "resolve", DedupKey: dedupKey(t.notification, s.last()),
	}}
}

func (t told) change(s subject) pagerdutyRequest {
	return pagerdutyRequest{"/v2/change/enqueue", pagerdutyChange{
		RoutingKey: t.token, Payload: t.pagerdutyPayload(s), Links: t.pagerdutyLinks(),
	}}
}

// mayHaveAlarmed reports whether an incident can have come before how things
// stand now, and is over. A FAULT that is planned ends none that was not.
func (s subject) mayHaveAlarmed() bool {
	return s.last().State != notify.Fault && slices.ContainsFunc(s.events, func(event notify.Event) bool {
		return left(event, notify.Fault) || left(event, notify.Master)
	})
}

// covered reports whether an instance shares the state of its sync group,
// which is told of, too.
func covered(event notify.Event, all []subject) bool {
	return event.Kind == notify.Instance && slices.ContainsFunc(all, func(s subject) bool {
		group := s.last()
		return group.Kind == notify.Group && group.State == event.State && slices.Contains(group.Members, event.Name)
	})
}

func (t told) pagerdutyPayload(s subject) pagerdutyPayload {
	last, message := s.last(), t.say(s)
	return pagerdutyPayload{
		Summary:   cut(message.Subject, pagerdutySummary, characters),
		Source:    shorten(last.Host),
		Timestamp: last.Time,
		Component: shorten(last.Name),
		Group:     shorten(last.RouterID),
		Class:     "VRRP",
		Details: pagerdutyDetails{
			State:    notify.State(shorten(string(last.State))),
			Previous: notify.State(shorten(string(last.Previous))),
			EventID:  shorten(t.notification.ID),
			Text:     cut(message.Text, pagerdutyText, octets),
		},
	}
}

func (t told) pagerdutyLinks() []pagerdutyLink {
	if link := runbook(t.notification); link != "" {
		return []pagerdutyLink{{Href: link, Text: "Runbook"}}
	}
	return nil
}

// dedupKey names the incident of an instance or sync group on a node: the same
// for as long as that has the name.
func dedupKey(notification notify.Notification, event notify.Event) string {
	key := strings.Join([]string{"hacheck", event.Host, strings.ToLower(string(event.Kind)), event.Name}, "/")
	if notification.Story == notify.Test {
		key = "hacheck/" + event.Host + "/test"
	}
	key = strings.ToValidUTF8(key, "\uFFFD")
	if len(key) > pagerdutyKey {
		sum := sha256.Sum256([]byte(key))
		key = "hacheck/" + hex.EncodeToString(sum[:])
	}
	return key
}

// pagerdutyAnswer is what PagerDuty answers.
type pagerdutyAnswer struct {
	Status  string   `json:"status"`
	Message string   `json:"message"`
	Errors  []string `json:"errors"`
}

func pagerdutyAnswered(status int, body []byte) answer {
	var got pagerdutyAnswer
	switch {
	case !decode(body, &got) || got.Status == "":
		return answer{}
	case good(status) && got.Status == "success":
		return answer{verdict: accepted}
	}
	a := answer{said: fmt.Sprintf("%s: %s", got.Status, got.Message)}
	if len(got.Errors) > 0 {
		a.said += " (" + strings.Join(got.Errors, "; ") + ")"
	}
	return a
}
