package config

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// notifySection is the notify section, whose settings about flaps depend on each
// other.
type notifySection struct {
	group
	to *Notify
}

func (v notifySection) read(r *reader, node *yaml.Node) {
	before := len(r.errors)
	v.group.read(r, node)
	if len(r.errors) == before { // or the values are not those meant
		v.to.checkFlap(r, node)
	}
}

// checkFlap refuses a flap_settle within which the slowest flap does not change:
// each of its transitions would be told by itself, and the end of a flap with it.
func (n *Notify) checkFlap(r *reader, node *yaml.Node) {
	rules := n.Grouping
	slowest := rules.FlapWindow / time.Duration(rules.FlapThreshold-1)
	if rules.FlapSettle > slowest {
		return
	}
	at := node
	for _, key := range []string{"flap_window", "flap_threshold", "flap_settle"} {
		if i := slices.IndexFunc(node.Content, func(word *yaml.Node) bool { return word.Value == key }); i >= 0 {
			at = node.Content[i+1]
		}
	}
	r.fail(at, "set flap_settle longer, or flap_window shorter",
		"flap_settle (%s) must be longer than %s: by flap_threshold (%d) and flap_window (%s) an instance that changes so often flaps, and would be told to have settled after each transition",
		showDuration(rules.FlapSettle), showDuration(slowest.Round(time.Millisecond)), rules.FlapThreshold, showDuration(rules.FlapWindow))
}
