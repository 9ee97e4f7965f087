/// What one row of the table measures: some prompt tokens, some generated ones, behind some that are there already.
struct BenchTest: Equatable {
    /// Prompt tokens, computed in batches.
    var prompt = 0
    /// Passes that generate, each of `rows` tokens in each of `sequences` sequences.
    var generate = 0
    /// Tokens that each sequence holds before the clock starts.
    var depth = 0
    /// Consecutive tokens of a sequence in one pass, all of which are asked for logits: what checking a draft costs.
    var rows = 1
    /// Sequences that generate in one pass: what several users cost. A prompt goes to the first of them.
    var sequences = 1

    /// As llama-bench names its tests: `pp512`, `tg128 @ d4096`, `pp512+tg128`.
    var name: String {
        var parts: [String] = []
        if prompt > 0 { parts.append("pp\(prompt)") }
        if generate > 0 { parts.append("tg\(generate)") }
        var name = parts.joined(separator: "+")
        if rows > 1 { name += " x \(rows) rows" }
        if sequences > 1 { name += " x \(sequences) sequences" }
        if depth > 0 { name += " @ d\(depth)" }
        return name
    }

    /// All tokens that the clock sees.
    var tokens: Int { prompt + generate * rows * sequences }

    /// Positions that each sequence must have room for.
    var capacity: Int { depth + prompt + generate * rows }

    /// The forward passes, in order, when at most `batch` tokens go into one.
    func passes(batch: Int) -> [BenchPass] {
        let prefill = Self.prefill(prompt, from: depth, batch: batch)
        let decode = (0..<generate).map { step in
            BenchPass(start: depth + prompt + step * rows, rows: rows, sequences: sequences, logits: rows)
        }
        return prefill + decode
    }

    /// Passes that add `count` tokens to one sequence; only the last token is asked for logits.
    static func prefill(_ count: Int, from start: Int, batch: Int) -> [BenchPass] {
        stride(from: 0, to: count, by: batch).map { first in
            let rows = min(batch, count - first)
            return BenchPass(
                start: start + first, rows: rows, sequences: 1, logits: first + rows == count ? 1 : 0)
        }
    }
}

/// One forward pass of a test.
struct BenchPass: Equatable {
    /// Tokens that each sequence holds before it.
    let start: Int
    /// Tokens it adds to each sequence.
    let rows: Int
    let sequences: Int
    /// Rows of each sequence that are asked for logits.
    let logits: Int
}
