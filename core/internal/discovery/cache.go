package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	cacheVersion = 1
	maxCache     = maxAnswer // of the file, which holds less than the answer
)

// Cache is the file that keeps the Manager's last good answer.
type Cache struct{ Path string }

type cacheFile struct {
	Version         int      `json:"version"`
	ListURL         string   `json:"list_url"` // each address of the Manager, separated by blanks
	Group           string   `json:"group"`
	Nodes           []string `json:"nodes"`
	MaxPacketLength int      `json:"max_packet_length"`
}

// Store replaces the file as a whole, so that a reader never sees half of it. If the name is not a regular file it stays: a rename
// would replace a device.
func (c Cache) Store(m *Manager, list List) error {
	if info, err := os.Stat(c.Path); err == nil {
		if err := c.checkRegular(info); err != nil {
			return err
		}
	}
	data, err := json.Marshal(cacheFile{cacheVersion, strings.Join(m.withoutUser(), " "), m.Group, list.Nodes, list.MaxPacketLength})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.Path), filepath.Base(c.Path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), c.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// Load reads the list that was stored for the same Manager and group.
func (c Cache) Load(m *Manager) (List, error) {
	// Opening a pipe would wait for its writer.
	f, err := os.OpenFile(c.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return List{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return List{}, err
	}
	if err := c.checkRegular(info); err != nil {
		return List{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCache+1))
	if err != nil {
		return List{}, err
	}
	if len(data) > maxCache {
		return List{}, fmt.Errorf("the node cache %s has more than %d bytes", c.Path, maxCache)
	}
	return parseCache(data, m)
}

func (c Cache) checkRegular(info os.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	kind := "a device or socket"
	switch {
	case info.IsDir():
		kind = "a directory"
	case info.Mode()&os.ModeNamedPipe != 0:
		kind = "a pipe"
	}
	return fmt.Errorf("the node cache %s is %s: it must be a regular file", c.Path, kind)
}

func parseCache(data []byte, m *Manager) (List, error) {
	var f cacheFile
	if err := json.Unmarshal(data, &f); err != nil {
		return List{}, fmt.Errorf("the node cache is corrupt: %w", err)
	}
	if f.Version != cacheVersion {
		return List{}, fmt.Errorf("the node cache has version %d: it must be %d", f.Version, cacheVersion)
	}
	ours := m.withoutUser() // one common address is enough, since addresses come and go
	if !slices.ContainsFunc(strings.Fields(f.ListURL), func(a string) bool { return slices.Contains(ours, a) }) || f.Group != m.Group {
		return List{}, errors.New("the node cache belongs to another Manager or group")
	}
	for _, n := range f.Nodes {
		if err := CheckAddress(n); err != nil {
			return List{}, fmt.Errorf("the node cache is corrupt: %w", err)
		}
	}
	if len(f.Nodes) == 0 {
		return List{}, errors.New("the node cache lists no node")
	}
	slices.Sort(f.Nodes)
	return List{Nodes: slices.Compact(f.Nodes), MaxPacketLength: max(f.MaxPacketLength, 0)}, nil
}

// withoutUser returns the list's urls without name and password, because no secret may be in the file.
func (m *Manager) withoutUser() (urls []string) {
	for _, listURL := range m.ListURLs {
		if u, err := url.Parse(listURL); err == nil {
			u.User = nil
			urls = append(urls, u.String())
		}
	}
	return urls
}
