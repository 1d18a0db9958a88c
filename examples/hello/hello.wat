;; A WebAssembly component, written by hand: the smallest program of WASI preview 2 that says something.
;;
;; A component declares what it needs (imports) and what it is (exports) as typed interfaces. This one needs standard
;; output, and is a command: it exports `wasi:cli/run`.
(component
  ;; What can go wrong with a stream: an opaque resource of the host.
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-resource))

  ;; Streams: we use one method of the output stream.
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $error-resource (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func
        (param "self" (borrow $output-stream))
        (param "contents" (list u8))
        (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $stream-resource))

  ;; Where standard output comes from.
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $stream-resource (type $outer-stream))
    (export "output-stream" (type $output-stream (eq $outer-stream)))
    (export "get-stdout" (func (result (own $output-stream))))))

  ;; The memory has a module of its own, because lowering a function that takes a list needs it first.
  (core module $Memory
    (memory (export "memory") 1)
    (data (i32.const 16) "hello from a WebAssembly component\n"))
  (core instance $memory (instantiate $Memory))

  ;; Typed functions become functions on integers: a list is an address and a length, a result comes back in memory.
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write
    (canon lower
      (func $streams "[method]output-stream.blocking-write-and-flush")
      (memory $memory "memory")))
  (core func $drop-stream (canon resource.drop $stream-resource))

  (core module $Main
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "drop-stream" (func $drop-stream (param i32)))
    (import "host" "memory" (memory 1))
    ;; Returns 0 for success and 1 for failure, as `result` without payloads is passed.
    (func (export "run") (result i32)
      (local $stream i32)
      (local.set $stream (call $get-stdout))
      ;; 35 bytes from address 16; the outcome goes to address 0.
      (call $write (local.get $stream) (i32.const 16) (i32.const 35) (i32.const 0))
      (call $drop-stream (local.get $stream))
      (i32.load8_u (i32.const 0))))
  (core instance $main (instantiate $Main
    (with "host" (instance
      (export "get-stdout" (func $get-stdout))
      (export "write" (func $write))
      (export "drop-stream" (func $drop-stream))
      (export "memory" (memory $memory "memory"))))))

  ;; And integers become a typed function again.
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))
