package dataproxytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ControlHelp lists what Control does, a line each: the ops with the fields that they use, and the kinds of faults, whose they are and
// the fields that they have.
func ControlHelp() string {
	var b strings.Builder
	b.WriteString("Ops, and their fields:\n\n")
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		fields := ops[name].uses
		if ops[name].ofNode {
			fields = append([]string{"node"}, fields...)
		}
		b.WriteString(helpLine(name, strings.Join(fields, ", ")))
	}
	b.WriteString("\nKinds of faults, their fields, and who can have them:\n\n")
	for _, rule := range kindRules {
		fields := slices.Clone(rule.needs)
		for _, field := range rule.may {
			fields = append(fields, "["+field+"]")
		}
		whose := "node"
		switch rule.target {
		case forManager:
			whose = "Manager"
		case forBoth:
			whose = "node, Manager"
		}
		b.WriteString(helpLine(string(rule.kind), fmt.Sprintf("%-16s %s", strings.Join(fields, ", "), whose)))
	}
	return b.String()
}

func helpLine(name, rest string) string {
	return strings.TrimRight(fmt.Sprintf("  %-22s %s", name, rest), " ") + "\n"
}
