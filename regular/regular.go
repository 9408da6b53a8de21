// Package regular reads files that somebody may have put another one in the place
// of: such as a FIFO, which nobody writes to, or one that has no end.
package regular

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// Read gives the content of a regular file of at most limit bytes. Whatever else
// is there, it returns at once: an error says that path is not a regular file, or
// larger than that. Links are followed.
func Read(path string, limit int64) ([]byte, error) {
	// Without O_NONBLOCK opening a FIFO waits for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	// What the file says of its size may be wrong, as in /proc.
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}
