// Package bench measures atsync from outside: whole processes against a simulated Autotask, beside what
// DuckDB alone needs for the same rows in the same run. It has no code of its own; run its benchmarks with
// `make bench`, and see README.md for what they print.
//
// It promises that the processes of the measured program, of the simulator and of the yardsticks are
// separate, so that a figure is of one of them. It asserts no times: figures are printed beside the limit
// that they are held against, for a person to judge.
package bench
