import ChatTemplates
import GGUF

/// BERT's vocabularies: `tokenizer.json` with a WordPiece model, or `vocab.txt`.
extension TokenizerFiles {
    /// Words begin with U+2581 in the file; in `tokenizer.json` what does not begin one has `##`.
    func wordPieces(_ json: JSONObject, rows: Int) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        guard let model = json["model"] else { return ([], TokenTable(path: tokenizerPath)) }
        var original = try tokens(model)
        try addSpecial(json, to: &original)
        setRoles(json, in: &original)
        var lowercases: Bool?
        var stripsAccents: Bool?
        if let normalizer = json["normalizer"], normalizer["type"]?.stringValue == "BertNormalizer" {
            lowercases = normalizer["lowercase"]?.boolValue ?? true
            stripsAccents = normalizer["strip_accents"]?.boolValue
        }
        return try stored(
            original, prefix: model["continuing_subword_prefix"]?.stringValue ?? "##", path: tokenizerPath, rows: rows,
            lowercases: lowercases, stripsAccents: stripsAccents)
    }

    /// `vocab.txt`: a line's number is the id of what stands in it.
    func lines(rows: Int) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        var original = TokenTable(path: linesPath)
        var lines = try JSONFile.bytes(linesPath).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty ?? false { lines.removeLast() }
        for (id, line) in lines.enumerated() {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            try original.add(String(decoding: line, as: UTF8.self), id: id)
        }
        setRoles(nil, in: &original)
        try addFromSettings(to: &original)
        let lowercases = settings["do_lower_case"]?.boolValue ?? true
        return try stored(
            original, prefix: "##", path: linesPath, rows: rows, lowercases: lowercases,
            stripsAccents: settings["strip_accents"]?.boolValue)
    }

    /// Tokens with a role are no words, listed as added ones or not.
    private func setRoles(_ json: JSONObject?, in table: inout TokenTable) {
        for (role, texts) in wordPieceMarks(json) {
            let named = text(of: role).map { [$0] } ?? texts
            guard let id = named.compactMap({ table.id(of: $0) }).first else { continue }
            table.setKind(id, role == "unk" ? .unknown : .control)
        }
    }

    /// - Parameter lowercases: nil where the file does not say.
    private func stored(
        _ original: TokenTable, prefix: String, path: String, rows: Int, lowercases: Bool?, stripsAccents: Bool?
    ) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        var table = TokenTable(path: path)
        for (id, text) in original.texts.enumerated() {
            guard let text else { continue }
            let kind = original.kinds[id]
            try table.add(kind != .normal ? text : text.withoutPrefix(prefix) ?? "\u{2581}\(text)", id: id, kind)
        }
        let head: [(String, GGUFValue)] = [
            ("tokenizer.ggml.model", .string("bert")), ("tokenizer.ggml.pre", .string("default")),
            (
                "tokenizer.ggml.token_type_count",
                .uint32(UInt32(try config.int("type_vocab_size", in: 1...16, default: 1)))
            ),
        ]
        var tail: [(String, GGUFValue)] = []
        if let lowercases {
            tail = [
                ("tokenizer.ggml.normalizer.lowercase", .bool(lowercases)),
                ("tokenizer.ggml.normalizer.strip_accents", .bool(stripsAccents ?? lowercases)),
            ]
        }
        return (try head + table.metadata(rows: rows, withScores: false) + tail, table)
    }

    /// What the tokens with a role are called where no settings name them: by the vocabulary itself, by what it puts
    /// around a text, or as BERT's own are.
    func wordPieceMarks(_ json: JSONObject?) -> [String: [String]] {
        var marks = [
            "unk": ["[UNK]"], "cls": ["[CLS]"], "sep": ["[SEP]"], "pad": ["[PAD]"], "mask": ["[MASK]"],
        ]
        func prefer(_ role: String, _ text: String?) {
            if let text { marks[role]?.insert(text, at: 0) }
        }
        prefer("unk", json?["model"]?["unk_token"]?.stringValue)
        prefer("pad", json?["padding"]?["pad_token"]?.stringValue)
        let processor = json?["post_processor"]
        for step in processor?["processors"]?.arrayValue ?? processor.map({ [$0] }) ?? [] {
            switch step["type"]?.stringValue {
            case "BertProcessing", "RobertaProcessing":
                prefer("cls", step["cls"]?[0]?.stringValue)
                prefer("sep", step["sep"]?[0]?.stringValue)
            case "TemplateProcessing":
                let parts = step["single"]?.arrayValue ?? []
                prefer("cls", parts.first?["SpecialToken"]?["id"]?.stringValue)
                prefer("sep", parts.last?["SpecialToken"]?["id"]?.stringValue)
            default: break
            }
        }
        return marks
    }
}

/// A vocabulary's texts are code points: of characters a combining mark would make another one of what stands before it.
extension String {
    /// What follows a prefix, or nil.
    func withoutPrefix(_ prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    /// The two tokens of a merge that is written with a space between them; the first may itself be a space.
    var mergedPair: (String, String)? {
        guard let space = utf8.dropFirst().firstIndex(of: UInt8(ascii: " ")) else { return nil }
        return (
            String(decoding: utf8[..<space], as: UTF8.self),
            String(decoding: utf8[utf8.index(after: space)...], as: UTF8.self)
        )
    }

    /// With U+0120 for each space.
    var withShiftedSpaces: String {
        utf8.contains(UInt8(ascii: " ")) ? replacingScalars(" ", with: "\u{120}") : self
    }

    func replacingScalars(_ scalar: Unicode.Scalar, with other: String) -> String {
        var result = String.UnicodeScalarView()
        for found in unicodeScalars {
            if found == scalar { result.append(contentsOf: other.unicodeScalars) } else { result.append(found) }
        }
        return String(result)
    }
}
