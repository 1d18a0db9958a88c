// Programs that hold memory in known ways: `memory SCENARIO`. Each tick stands for a second of requests.
package main

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"time"
)

const kib = 1024

var random = rand.New(rand.NewSource(7))

func load(tick int) float64 {
	return 1 + 0.4*math.Sin(float64(tick)/160) + 0.3*(random.Float64()-0.5)
}

func touched(bytes int) []byte {
	memory := make([]byte, bytes)
	for at := 0; at < bytes; at += 4 * kib {
		memory[at] = 1
	}
	return memory
}

func garbage(tick int) {
	for range int(40 * load(tick)) {
		touched(32 * kib)
	}
}

// Every goroutine waits for an answer that never comes.
func leakGoroutines() func(int) {
	never := make(chan int)
	return func(tick int) {
		garbage(tick)
		for range int(4 * load(tick)) {
			go func() {
				buffer := touched(16 * kib)
				<-never
				buffer[0] = 2
			}()
		}
	}
}

// Metrics get a label that never repeats.
func leakLabels() func(int) {
	series := map[string][]byte{}
	return func(tick int) {
		garbage(tick)
		for number := range int(3 * load(tick)) {
			series[fmt.Sprint(tick, "/", number)] = touched(24 * kib)
		}
	}
}

// Entries expire after ten minutes.
func timedMap() func(int) {
	entries := map[int][]byte{}
	born := map[int]int{}
	next := 0
	return func(tick int) {
		garbage(tick)
		for range int(5 * load(tick)) {
			entries[next], born[next] = touched(24*kib), tick
			next++
		}
		for key, when := range born {
			if tick-when > 600 {
				delete(entries, key)
				delete(born, key)
			}
		}
	}
}

func gcSawtooth() func(int) { return garbage }

// A pool grows with the number of users at the same time, which has a bound.
func poolPlateau() func(int) {
	pool := [][]byte{}
	return func(tick int) {
		garbage(tick)
		wanted := int(3000 * (1 - math.Exp(-float64(tick)/700)))
		for len(pool) < wanted {
			pool = append(pool, touched(32*kib))
		}
	}
}

func main() {
	scenarios := map[string]func() func(int){
		"leak-goroutines": leakGoroutines, "leak-labels": leakLabels,
		"timed-map": timedMap, "gc-sawtooth": gcSawtooth, "pool-plateau": poolPlateau,
	}
	if len(os.Args) != 2 || scenarios[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: memory SCENARIO")
		os.Exit(2)
	}
	base := touched(30 * 1024 * kib)
	step := scenarios[os.Args[1]]()
	for tick := 0; ; tick++ {
		step(tick)
		base[0] = byte(tick)
		time.Sleep(time.Second)
	}
}
