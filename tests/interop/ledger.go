// The ledger in the words of another implementation: golang.org/x/mod/sumdb/tlog and note. Reads one JSON object:
// leaves, and what our server made of them. Checks ours, and answers with what Go makes of the same leaves.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proof struct {
	Index int64    `json:"index"`
	Old   int64    `json:"old"`
	Path  [][]byte `json:"path"`
}

type input struct {
	Origin      string   `json:"origin"`
	VerifierKey string   `json:"verifier_key"`
	SignerKey   string   `json:"signer_key"`
	Leaves      [][]byte `json:"leaves"`
	Checkpoint  string   `json:"checkpoint"`
	OldRoots    [][]byte `json:"old_roots"`
	Inclusion   []proof  `json:"inclusion"`
	Consistency []proof  `json:"consistency"`
}

type output struct {
	Checkpoint  string  `json:"checkpoint"`
	Inclusion   []proof `json:"inclusion"`
	Consistency []proof `json:"consistency"`
	Checked     int     `json:"checked"`
}

func must(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

func hashOf(bytes []byte) (h tlog.Hash) {
	if len(bytes) != len(h) {
		must(fmt.Errorf("%d bytes", len(bytes)), "a hash")
	}
	copy(h[:], bytes)
	return h
}

func hashesOf(path [][]byte) (found []tlog.Hash) {
	for _, one := range path {
		found = append(found, hashOf(one))
	}
	return found
}

func bytesOf(path []tlog.Hash) [][]byte {
	found := [][]byte{}
	for i := range path {
		found = append(found, append([]byte{}, path[i][:]...))
	}
	return found
}

// A checkpoint's size and root, after Go's note package has verified it.
func open(text string, key string, origin string) (int64, tlog.Hash) {
	verifier, err := note.NewVerifier(key)
	must(err, "the verifier key")
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	must(err, "the signed note")
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != origin || len(lines) != 4 {
		must(fmt.Errorf("%q", opened.Text), "the checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "the size")
	root, err := tlog.ParseHash(lines[2])
	must(err, "the root")
	return size, root
}

func main() {
	var in input
	must(json.NewDecoder(os.Stdin).Decode(&in), "the input")
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for i, leaf := range in.Leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, reader)
		must(err, "storing")
		stored = append(stored, hashes...)
	}
	all := int64(len(in.Leaves))
	root, err := tlog.TreeHash(all, reader)
	must(err, "the tree")

	size, signed := open(in.Checkpoint, in.VerifierKey, in.Origin)
	if size != all || signed != root {
		must(fmt.Errorf("size %d", size), "our root is not Go's")
	}
	out := output{Inclusion: []proof{}, Consistency: []proof{}}
	for _, one := range in.Inclusion {
		leaf := tlog.RecordHash(in.Leaves[one.Index])
		must(tlog.CheckRecord(hashesOf(one.Path), size, signed, one.Index, leaf), "our inclusion proof")
		theirs, err := tlog.ProveRecord(all, one.Index, reader)
		must(err, "proving")
		out.Inclusion = append(out.Inclusion, proof{Index: one.Index, Path: bytesOf(theirs)})
		out.Checked++
	}
	for _, one := range in.Consistency {
		old := hashOf(in.OldRoots[one.Old])
		must(tlog.CheckTree(hashesOf(one.Path), size, signed, one.Old, old), "our consistency proof")
		theirs, err := tlog.ProveTree(all, one.Old, reader)
		must(err, "proving")
		out.Consistency = append(out.Consistency, proof{Old: one.Old, Path: bytesOf(theirs)})
		out.Checked++
	}
	signer, err := note.NewSigner(in.SignerKey)
	must(err, "the signer key")
	text := fmt.Sprintf("%s\n%d\n%s\n", in.Origin, all, root)
	message, err := note.Sign(&note.Note{Text: text}, signer)
	must(err, "signing")
	out.Checkpoint = string(message)
	must(json.NewEncoder(os.Stdout).Encode(out), "the answer")
}
