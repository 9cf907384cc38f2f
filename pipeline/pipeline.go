// Package pipeline moves rows from a Source to a Sink and knows when they are complete.
//
// It holds the vocabulary (Source, Sink, Load, Slice, Window, Checkpoint, Run, Trace, Error) and the Runner,
// which plans each stream by its change class, reads it, and commits rows and checkpoint together.
// It promises that a checkpoint never moves past rows that are not stored, and that a run which cannot say
// that everything is in is partial or failed, never ok. It knows no HTTP, no SQL and no file.
package pipeline
