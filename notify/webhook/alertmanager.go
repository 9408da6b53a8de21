package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hacheck/notify"
)

// How long an alert stays without being told again: a FAULT until long after
// the next reminder, news until people have seen them.
const (
	alertmanagerFault = 24 * time.Hour
	alertmanagerNews  = 5 * time.Minute
)

// The names of the alerts. Which alert it is, its labels say; how things stand
// is in its annotations, so that an alert stays the same while they change.
const (
	alertFault      = "VRRPFault"
	alertTransition = "VRRPTransition"
	alertTest       = "HacheckTest"
)

// alertmanagerAlert is one of the list for /api/v2/alerts.
type alertmanagerAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// alertmanagerPosts makes one list of alerts. Of each instance and sync group
// that has
//
//   - VRRPFault (severity critical) while it is in FAULT, unless that is
//     planned, for 24 hours from each time it is told, so that reminders keep
//     it firing; and its end at the time it left FAULT;
//   - VRRPTransition (severity as of the event) for 5 minutes for all other
//     news.
//
// The labels are alertname, severity, node, vrrp_instance or vrrp_sync_group,
// and those of the configuration.
func alertmanagerPosts(t told) ([]post, error) {
	var alerts []alertmanagerAlert
	add := func(name string, level notify.Level, s subject, starts, ends time.Time) {
		if starts.After(ends) {
			starts = ends // Alertmanager refuses it otherwise
		}
		alerts = append(alerts, alertmanagerAlert{
			Labels: t.alertLabels(name, level, s.last()), Annotations: t.alertAnnotations(s),
			StartsAt: starts, EndsAt: ends,
		})
	}
	for _, s := range subjects(t.notification) {
		last := s.last()
		if t.notification.Story == notify.Test {
			add(alertTest, notify.Info, s, last.Time, t.now.Add(alertmanagerNews))
			continue
		}
		if last.State == notify.Fault && t.level(last) == notify.Critical {
			starts := last.Time
			if t.notification.Story == notify.Reminder && t.notification.Since != nil {
				starts = *t.notification.Since
			}
			add(alertFault, notify.Critical, s, starts, t.now.Add(alertmanagerFault))
			continue
		}
		if event, recovered := s.recovery(); recovered {
			ends := event.Time
			if ends.After(t.now) {
				ends = t.now // a clock that was set back must not keep it firing
			}
			starts := ends
			if event.PreviousSince != nil {
				starts = *event.PreviousSince
			}
			add(alertFault, notify.Critical, s, starts, ends)
		}
		if s.news() {
			// From now on: one that came late must be seen all the same.
			add(alertTransition, t.level(last), s, last.Time, t.now.Add(alertmanagerNews))
		}
	}
	posts, err := onePost(alerts)
	posts[0].path = "/api/v2/alerts"
	return posts, err
}

func (t told) alertLabels(name string, level notify.Level, event notify.Event) map[string]string {
	labels := map[string]string{
		"alertname": name,
		"severity":  string(level),
		"node":      shorten(event.Host),
	}
	if event.Kind == notify.Group {
		labels["vrrp_sync_group"] = shorten(event.Name)
	} else {
		labels["vrrp_instance"] = shorten(event.Name)
	}
	for name, value := range t.labels {
		labels[name] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return labels
}

func (t told) alertAnnotations(s subject) map[string]string {
	last, message := s.last(), t.say(s)
	annotations := map[string]string{
		"summary":     strings.ToValidUTF8(message.Subject, "\uFFFD"),
		"description": strings.ToValidUTF8(message.Text, "\uFFFD"),
		"state":       shorten(string(last.State)),
		"event_id":    shorten(t.notification.ID),
	}
	if last.Previous != "" {
		annotations["previous"] = shorten(string(last.Previous))
	}
	if last.Interface != "" {
		annotations["interface"] = shorten(last.Interface)
	}
	if last.VirtualRouterID != 0 {
		annotations["virtual_router_id"] = strconv.Itoa(last.VirtualRouterID)
	}
	if link := runbook(notify.Notification{Event: last}); link != "" {
		annotations["runbook_url"] = link
	}
	return annotations
}

// checkLabel checks the name of a label of the configuration.
func checkLabel(name string) error {
	switch name {
	case "alertname", "severity", "node", "vrrp_instance", "vrrp_sync_group":
		return fmt.Errorf("%s is set by hacheck itself", name)
	}
	for i, r := range name {
		if r != '_' && !(r >= 'a' && r <= 'z') && !(r >= 'A' && r <= 'Z') && (i == 0 || r < '0' || r > '9') {
			return fmt.Errorf("%q is not a label name: letters, digits and '_', no digit first", shorten(name))
		}
	}
	if name == "" {
		return fmt.Errorf("%q is not a label name", name)
	}
	return nil
}

// alertmanagerAnswer is how Alertmanager refuses a whole list. Of one in which
// an alert is not valid it takes the others, and answers with a string.
type alertmanagerAnswer struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func alertmanagerAnswered(status int, body []byte) answer {
	var said string
	var got alertmanagerAnswer
	switch {
	case good(status) && len(bytes.TrimSpace(body)) == 0:
		return answer{verdict: accepted}
	case json.Unmarshal(body, &said) == nil && said != "":
		return answer{said: said + " (of several alerts the valid ones were taken)"}
	case decode(body, &got) && got.Message != "":
		return answer{said: fmt.Sprintf("code %d: %s", got.Code, got.Message)}
	}
	return answer{}
}
