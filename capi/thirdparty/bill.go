package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// The parts of CycloneDX 1.6 that a linked file has something to say in.
type (
	bill struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp,omitempty"`
		Component component `json:"component"`
	}
	component struct {
		Type     string      `json:"type"`
		Ref      string      `json:"bom-ref"`
		Name     string      `json:"name"`
		Version  string      `json:"version,omitempty"`
		PURL     string      `json:"purl,omitempty"`
		Licences []licence   `json:"licenses,omitempty"`
		Hashes   []hash      `json:"hashes,omitempty"`
		Parts    []component `json:"components,omitempty"`
	}
	licence struct {
		Expression string `json:"expression"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// writeBill writes the bill of what is linked into files, which are shipped together under one name.
func writeBill(out io.Writer, name string, files []string) error {
	licences, err := licenceTable()
	if err != nil {
		return err
	}
	whole := component{Type: "library", Ref: name, Name: name, Version: dataproxy.Version,
		PURL: "pkg:golang/" + modulePath + "@v" + dataproxy.Version, Licences: []licence{{"Apache-2.0"}}}
	parts := map[string]component{}
	for _, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		base := filepath.Base(file)
		whole.Parts = append(whole.Parts, component{Type: "file", Ref: "file:" + base, Name: base,
			Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(data))}}})
		goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
		linked := map[string]string{goLibrary: goVersion}
		for _, dep := range info.Deps {
			linked[dep.Path] = dep.Version
		}
		for path, version := range linked {
			id, known := licences[path]
			if !known {
				return fmt.Errorf("%s has %s in it, whose licence is not in %s: make licences", file, path, licenceFile)
			}
			purl := "pkg:golang/" + path + "@" + version
			parts[purl] = component{Type: "library", Ref: purl, Name: path, Version: version, PURL: purl, Licences: []licence{{id}}}
		}
	}
	b := bill{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{Component: whole}}
	dependsOn := []string{}
	for purl, part := range parts {
		b.Components = append(b.Components, part)
		dependsOn = append(dependsOn, purl)
	}
	slices.SortFunc(b.Components, func(x, y component) int { return cmp.Compare(x.Ref, y.Ref) })
	slices.Sort(dependsOn)
	b.Dependencies = []dependency{{name, dependsOn}}
	// The same files give the same bill: its number is drawn from what it says, its time is that of the source.
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		b.Metadata.Timestamp = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	said, err := json.Marshal(b)
	if err != nil {
		return err
	}
	b.Serial = serial(said)
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(b)
}

// serial makes a UUID (version 8: of one's own making) of the sum of what a bill says.
func serial(said []byte) string {
	sum := sha256.Sum256(said)
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

const licenceFile = "core/THIRD_PARTY_LICENSES.txt"

// licenceTable reads the list on top of the licence texts: which module has which.
func licenceTable() (map[string]string, error) {
	data, err := os.ReadFile(licenceFile)
	if err != nil {
		return nil, fmt.Errorf("run it at the top of the repository: %w", err)
	}
	head, _, _ := strings.Cut(string(data), "\n====")
	table := map[string]string{}
	for _, line := range strings.Split(strings.TrimPrefix(head, intro), "\n") {
		if path, id, ok := strings.Cut(line, " "); ok {
			table[path] = strings.TrimSpace(id)
		}
	}
	return table, nil
}
