import GGUF

/// A model file that says what a test wants, so that server, grammar, sampler and parser are tested together with an
/// answer cut into any tokens.
///
/// A `llama` file of one layer that adds nothing: the embedding of a token names it, the output matrix says which token
/// follows. A line feed is followed by the first piece, each piece by the next one, the last by the end of the turn.
/// So the prompt, whatever it says, has to end in a line feed, and what follows depends on the last token alone.
///
///     let script = ScriptedFile(["Hello", " wor", "ld"], template: ScriptedFile.chatML)
///     let path = try script.write(to: directory)
///
/// Tokens: the 256 bytes (id = byte), `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`, then `marks`, then the pieces. A
/// piece is a token of its own even if another has the same text, and no text is ever encoded to it.
package struct ScriptedFile {
    /// One token of the answer.
    package struct Piece: ExpressibleByStringLiteral, Sendable {
        package var bytes: [UInt8]
        /// Whether the vocabulary calls it a control token, as it does the marks of some notations (`<|channel|>`).
        package var isControl = false

        package init(stringLiteral text: String) { bytes = Array(text.utf8) }
        package init(_ text: String) { bytes = Array(text.utf8) }
        /// A token may end inside of a character.
        package init(bytes: [UInt8]) { self.bytes = bytes }
        package static func control(_ text: String) -> Piece {
            var piece = Piece(text)
            piece.isControl = true
            return piece
        }
    }

    package static let endOfText = 256
    package static let turnStart = 257
    package static let turnEnd = 258
    /// ChatML without anything else. The templates of tests are variations of it.
    package static let chatML = """
        {% for m in messages %}<|im_start|>{{ m.role }}
        {{ m.content }}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """

    package let pieces: [Piece]
    private var file: ToyFile
    private let firstPiece: Int

    /// - Parameters:
    ///   - pieces: the answer, token by token.
    ///   - template: the chat template of the file; nil leaves it out.
    ///   - marks: control tokens that prompts may contain (`<think>`).
    ///   - next: which piece follows a token of the vocabulary that is no piece: by its id, the piece's index. What a
    ///     budget or a grammar forces on the model is followed by what stands here for its last token, by the end of the
    ///     turn where nothing does.
    ///   - contextLength: in tokens.
    package init(
        _ pieces: [Piece], template: String? = chatML, marks: [String] = [], next: [Int: Int] = [:],
        contextLength: Int = 4096
    ) {
        self.pieces = pieces
        firstPiece = 259 + marks.count
        let control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + marks
        let tokens = ByteLevel.alphabet + control + pieces.map { $0.isControl ? $0.text : ByteLevel.encode($0.bytes) }
        let types =
            [Int32](repeating: 1, count: 256) + [Int32](repeating: 3, count: control.count)
            + pieces.map { $0.isControl ? 3 : 1 }

        // Directions of the hidden row: 0 stands for any token that has no other, 1 for the line feed, then the pieces,
        // then what `next` names.
        let others = next.keys.sorted().filter { $0 != 10 }
        let width = (2 + pieces.count + others.count + 31) / 32 * 32
        var direction = [Int](repeating: 0, count: tokens.count)
        direction[10] = 1
        for index in pieces.indices { direction[firstPiece + index] = 2 + index }
        let firstOther = 2 + pieces.count
        for (index, token) in others.enumerated() { direction[token] = firstOther + index }
        var follower = [Int](repeating: Self.turnEnd, count: width)
        if !pieces.isEmpty { follower[1] = firstPiece + (next[10] ?? 0) }
        for index in pieces.indices.dropLast() { follower[2 + index] = firstPiece + index + 1 }
        for (index, token) in others.enumerated() { follower[firstOther + index] = firstPiece + (next[token] ?? 0) }

        var embeddings = [Float](repeating: 0, count: width * tokens.count)
        for token in tokens.indices { embeddings[token * width + direction[token]] = 1 }
        // The norm makes sqrt(width) of the one, so the follower's logit is 40 wherever the width is 32 or more.
        var output = [Float](repeating: 0, count: width * tokens.count)
        for state in 0..<(firstOther + others.count) {
            output[follower[state] * width + state] = 40 / Float(width).squareRoot()
        }

        var file = ToyFile(architecture: "llama")
        let sizes: [(String, Int)] = [
            ("block_count", 1), ("context_length", contextLength), ("embedding_length", width),
            ("feed_forward_length", 32), ("attention.head_count", 1), ("attention.head_count_kv", 1),
            ("attention.key_length", 32), ("attention.value_length", 32), ("rope.dimension_count", 32),
        ]
        for (key, value) in sizes { file["llama.\(key)"] = .uint32(UInt32(value)) }
        file["llama.attention.layer_norm_rms_epsilon"] = .float32(1e-6)
        file["llama.rope.freq_base"] = .float32(10_000)
        file["tokenizer.ggml.model"] = .string("gpt2")
        file["tokenizer.ggml.pre"] = .string("qwen2")
        file["tokenizer.ggml.tokens"] = .array(GGUFArray(tokens))
        file["tokenizer.ggml.token_type"] = .array(GGUFArray(types))
        file["tokenizer.ggml.merges"] = .array(GGUFArray([String]()))
        file["tokenizer.ggml.bos_token_id"] = .uint32(UInt32(Self.endOfText))
        file["tokenizer.ggml.eos_token_id"] = .uint32(UInt32(Self.turnEnd))
        file["tokenizer.ggml.add_bos_token"] = .bool(false)
        if let template { file["tokenizer.chat_template"] = .string(template) }

        file.floats("token_embd.weight", [width, tokens.count], embeddings)
        file.floats("output_norm.weight", [width], [Float](repeating: 1, count: width))
        file.floats("output.weight", [width, tokens.count], output)
        func zeros(_ name: String, _ dimensions: [Int]) {
            file.floats(name, dimensions, [Float](repeating: 0, count: dimensions.reduce(1, *)))
        }
        zeros("blk.0.attn_norm.weight", [width])
        zeros("blk.0.attn_q.weight", [width, 32])
        zeros("blk.0.attn_k.weight", [width, 32])
        zeros("blk.0.attn_v.weight", [width, 32])
        zeros("blk.0.attn_output.weight", [32, width])
        zeros("blk.0.ffn_norm.weight", [width])
        zeros("blk.0.ffn_gate.weight", [width, 32])
        zeros("blk.0.ffn_up.weight", [width, 32])
        zeros("blk.0.ffn_down.weight", [32, width])
        self.file = file
    }

    /// A text cut into tokens of so many characters each; the last may be shorter.
    package init(_ text: String, every length: Int, template: String? = chatML, marks: [String] = []) {
        let scalars = Array(text.unicodeScalars)
        let pieces = stride(from: 0, to: scalars.count, by: length).map { start in
            var piece = String.UnicodeScalarView()
            piece.append(contentsOf: scalars[start..<min(start + length, scalars.count)])
            return Piece(String(piece))
        }
        self.init(pieces, template: template, marks: marks)
    }

    /// The id of a piece.
    package func token(ofPiece index: Int) -> Int { firstPiece + index }

    /// Writes the file into a folder and gives its path.
    package func write(to directory: TemporaryDirectory, name: String = "scripted.gguf") throws -> String {
        try file.write(to: directory, name: name)
    }
}

extension ScriptedFile.Piece {
    fileprivate var text: String { String(decoding: bytes, as: UTF8.self) }
}
