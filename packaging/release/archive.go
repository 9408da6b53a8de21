package main

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"time"
)

// archived is one file of an archive.
type archived struct {
	from, name string
	mode       int64
}

// writeArchive writes a tar.gz with all files in one folder. Its bytes depend on
// nothing but the files' content.
func writeArchive(path, folder string, files []archived, date time.Time) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	compressed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for _, entry := range files {
		content, err := os.ReadFile(entry.from)
		if err != nil {
			return err
		}
		header := &tar.Header{
			Name: folder + "/" + entry.name, Mode: entry.mode, Size: int64(len(content)),
			ModTime: date, Uname: "root", Gname: "root", Format: tar.FormatGNU,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return file.Close()
}
