package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/nearest"
)

// setting is one value of the configuration, as text.
type setting struct {
	key, value string
	from       string // where it was given, for messages
}

// readConfigFile reads a YAML file of "key: value" lines. All that is wrong in it is reported at once, each with its line.
func readConfigFile(path string, known []string) ([]setting, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var document, second yaml.Node
	decoder := yaml.NewDecoder(file)
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil // empty, or comments only
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf(`%s line %d: a second document ("---"): there must be one`, path, second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf(`%s line %d: must be "key: value" lines`, path, root.Line)
	}
	var settings []setting
	var faults []error
	lines := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i].Value, root.Content[i+1]
		from := fmt.Sprintf("%s line %d", path, root.Content[i].Line)
		if !slices.Contains(known, key) {
			faults = append(faults, fmt.Errorf("%s: %s", from, nearest.Unknown("key", key, known)))
			continue
		}
		if line, twice := lines[key]; twice {
			faults = append(faults, fmt.Errorf("%s: key %q: was given in line %d already", from, key, line))
			continue
		}
		lines[key] = root.Content[i].Line
		value, err := settingText(node)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: key %q: %w", from, key, err))
			continue
		}
		settings = append(settings, setting{key, value, from})
	}
	return settings, errors.Join(faults...)
}

// settingText writes a value as the flags and the environment do: lists with commas, maps as name=value&name=value.
func settingText(node *yaml.Node) (string, error) {
	switch node.Kind {
	case yaml.AliasNode:
		return settingText(node.Alias)
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return "", errors.New("has no value")
		}
		return node.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode || strings.Contains(item.Value, ",") {
				return "", errors.New("an item of a list must be a plain value without a comma")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	case yaml.MappingNode:
		var pairs []string
		for i := 0; i+1 < len(node.Content); i += 2 {
			name, value := node.Content[i], node.Content[i+1]
			if value.Kind != yaml.ScalarNode || strings.ContainsAny(name.Value+value.Value, "&=") {
				return "", errors.New("a name or value of a map must be plain, without & and =")
			}
			pairs = append(pairs, name.Value+"="+value.Value)
		}
		sort.Strings(pairs)
		return strings.Join(pairs, "&"), nil
	}
	return "", errors.New("must be a value, a list or a map")
}
