import ChatTemplates
import Foundation
import GGUF
import Tokenization

/// The vocabulary of a model folder: `tokenizer.json`, or `tokenizer.model`, and what stands beside them.
struct TokenizerFiles {
    private let folder: String
    let config: ModelConfig
    let settings: JSONObject
    private let specialMap: JSONObject
    private let generation: JSONObject
    var tokenizerPath: String { "\(folder)/tokenizer.json" }
    private var piecesPath: String { "\(folder)/tokenizer.model" }
    private var ranksPath: String { "\(folder)/tiktoken.model" }
    /// BERT's own form: a token in each line.
    var linesPath: String { "\(folder)/vocab.txt" }

    init(folder: String, config: ModelConfig) throws(ConvertError) {
        self.folder = folder
        self.config = config
        settings = try JSONFile.readIfPresent("\(folder)/tokenizer_config.json") ?? JSONObject()
        specialMap = try JSONFile.readIfPresent("\(folder)/special_tokens_map.json") ?? JSONObject()
        generation = try JSONFile.readIfPresent("\(folder)/generation_config.json") ?? JSONObject()
    }

    /// All `tokenizer.*` keys; what they describe has been opened once.
    /// - Parameter rows: of the embedding table.
    /// - Throws: `ConvertError.tokenizer`, `.file`, `.format`.
    func metadata(rows: Int, architecture: String) throws(ConvertError) -> [(String, GGUFValue)] {
        var (keys, table, path) = try vocabulary(rows: rows, architecture: architecture)
        keys += try specialKeys(table, path: path, isWordPiece: keys.contains { $0.1.stringValue == "bert" })
        keys += try templateKeys()
        do { _ = try Tokenizer(GGUFMetadata(keys)) } catch {
            throw .tokenizer(path: path, field: "the vocabulary", found: "unusable: \(error)", expected: "a usable one")
        }
        return keys
    }

    private func vocabulary(
        rows: Int, architecture: String
    ) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable, String) {
        let hasPieces = FileManager.default.fileExists(atPath: piecesPath)
        guard let json = try JSONFile.readIfPresent(tokenizerPath) else {
            if hasPieces {
                let (keys, table) = try pieces(rows: rows)
                return (keys, table, piecesPath)
            }
            if architecture == "bert", FileManager.default.fileExists(atPath: linesPath) {
                let (keys, table) = try lines(rows: rows)
                return (keys, table, linesPath)
            }
            guard FileManager.default.fileExists(atPath: ranksPath) else {
                throw .file(path: folder, reason: "holds neither tokenizer.json nor tokenizer.model")
            }
            let (keys, table) = try ranked(rows: rows, architecture: architecture)
            return (keys, table, ranksPath)
        }
        guard let model = json["model"] else {
            throw .tokenizer(path: tokenizerPath, field: "model", found: "missing", expected: "an object")
        }
        let kind = model["type"]?.stringValue ?? (model["merges"] != nil ? "BPE" : "no type")
        let table: TokenTable
        let keys: [(String, GGUFValue)]
        switch kind {
        case "BPE" where architecture == "gemma4": (keys, table) = try bytePairs(json, rows: rows, as: .gemma4)
        case "BPE" where model["byte_fallback"]?.boolValue == true:
            if hasPieces {
                (keys, table) = try pieces(rows: rows, with: json)
            } else {
                (keys, table) = try bytePairs(json, rows: rows, as: .sentencePiece)
            }
        case "BPE":
            let name = try PreTokenizerName.find(json, path: tokenizerPath, architecture: architecture)
            (keys, table) = try bytePairs(json, rows: rows, as: .byteLevel(name))
        case "Unigram": (keys, table) = try unigram(json, rows: rows)
        case "WordPiece": (keys, table) = try wordPieces(json, rows: rows)
        default:
            throw .tokenizer(
                path: tokenizerPath, field: "model.type", found: kind, expected: "BPE, Unigram or WordPiece")
        }
        return (keys, table, tokenizerPath)
    }

    // MARK: tokenizer.json

    private enum BytePairs {
        case byteLevel(String)
        case gemma4
        /// Without the scores of a `tokenizer.model`: a merge's rank is one.
        case sentencePiece
    }

    private func bytePairs(
        _ json: JSONObject, rows: Int, as kind: BytePairs
    ) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        guard let model = json["model"], let listed = model["merges"]?.arrayValue else {
            throw .tokenizer(path: tokenizerPath, field: "model.merges", found: "missing", expected: "a list")
        }
        var merges: [(String, String)] = []
        merges.reserveCapacity(listed.count)
        for merge in listed {
            if let pair = merge.arrayValue, pair.count == 2, let a = pair[0].stringValue, let b = pair[1].stringValue {
                merges.append((a, b))
            } else if let text = merge.stringValue, let pair = text.mergedPair {
                merges.append(pair)
            } else {
                throw .tokenizer(
                    path: tokenizerPath, field: "merge \(merges.count)",
                    found: merge.stringValue?.printable(limit: 50) ?? "no text",
                    expected: "two tokens")
            }
        }
        var table = try tokens(model)
        if case .byteLevel = kind {} else { markBytes(&table, model) }
        try addSpecial(json, to: &table)
        // Spaces within a token are not possible in this list; the format writes them shifted by 256.
        func mergeKey() -> (String, GGUFValue) {
            let texts = merges.map { "\($0.withShiftedSpaces) \($1.withShiftedSpaces)" }
            return ("tokenizer.ggml.merges", .array(GGUFArray(texts)))
        }
        switch kind {
        case .byteLevel(let name):
            let head: [(String, GGUFValue)] = [
                ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(name)),
            ]
            return (try head + table.metadata(rows: rows, withScores: false) + [mergeKey()], table)
        case .gemma4:
            let head: [(String, GGUFValue)] = [("tokenizer.ggml.model", .string("gemma4"))]
            return (try head + table.metadata(rows: rows, withScores: true) + [mergeKey()], table)
        case .sentencePiece:
            var ranked = TokenTable(path: tokenizerPath)
            var ranks: [[UInt8]: Int] = [:]
            for (rank, (a, b)) in merges.enumerated() where ranks[Array((a + b).utf8)] == nil {
                ranks[Array((a + b).utf8)] = rank
            }
            for (id, text) in table.texts.enumerated() {
                guard let text else { continue }
                let score = ranks[Array(text.utf8)].map { -Float($0) } ?? 0
                try ranked.add(text, id: id, table.kinds[id], score: score)
            }
            let head: [(String, GGUFValue)] = [
                ("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.pre", .string("default")),
            ]
            let tail: [(String, GGUFValue)] = [("tokenizer.ggml.add_space_prefix", .bool(prependsSpace(json)))]
            return (try head + ranked.metadata(rows: rows, withScores: true) + tail, ranked)
        }
    }

    /// `model.vocab`, an object of ids.
    func tokens(_ model: JSONValue) throws(ConvertError) -> TokenTable {
        guard let vocabulary = model["vocab"]?.objectValue else {
            throw .tokenizer(path: tokenizerPath, field: "model.vocab", found: "missing", expected: "an object")
        }
        var table = TokenTable(path: tokenizerPath)
        for (text, id) in vocabulary.members {
            guard let id = id.intValue else {
                throw .tokenizer(
                    path: tokenizerPath, field: "the id of \"\(text.printable(limit: 50))\"", found: "no whole number",
                    expected: "one")
            }
            try table.add(text, id: id)
        }
        return table
    }

    private func markBytes(_ table: inout TokenTable, _ model: JSONValue) {
        for value in 0..<256 {
            let digits = String(value, radix: 16, uppercase: true)
            if let id = table.id(of: "<0x\(digits.count < 2 ? "0" : "")\(digits)>") { table.setKind(id, .byte) }
        }
        if let unknown = model["unk_token"]?.stringValue, let id = table.id(of: unknown) {
            table.setKind(id, .unknown)
        }
    }

    func addSpecial(_ json: JSONObject, to table: inout TokenTable) throws(ConvertError) {
        for token in json["added_tokens"]?.arrayValue ?? [] {
            guard let id = token["id"]?.intValue, let text = token["content"]?.stringValue else {
                throw .tokenizer(
                    path: tokenizerPath, field: "an added token", found: "something else",
                    expected: "an object with id and content")
            }
            try table.addSpecial(text, id: id, isControl: token["special"]?.boolValue ?? true)
        }
    }

    /// Whether text begins with a space that is not in it.
    private func prependsSpace(_ json: JSONObject) -> Bool {
        func all(_ value: JSONValue?, _ list: String) -> [JSONValue] {
            value?[list]?.arrayValue ?? value.map { [$0] } ?? []
        }
        let normalizes = all(json["normalizer"], "normalizers").contains { $0["type"]?.stringValue == "Prepend" }
        let splits = all(json["pre_tokenizer"], "pretokenizers").contains {
            $0["type"]?.stringValue == "Metaspace" && $0["prepend_scheme"]?.stringValue ?? "always" != "never"
        }
        return normalizes || splits
    }

    private func unigram(_ json: JSONObject, rows: Int) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        guard let vocabulary = json["model"]?["vocab"]?.arrayValue else {
            throw .tokenizer(path: tokenizerPath, field: "model.vocab", found: "missing", expected: "a list")
        }
        var table = TokenTable(path: tokenizerPath)
        let unknown = json["model"]?["unk_id"]?.intValue
        for (id, entry) in vocabulary.enumerated() {
            guard let text = entry[0]?.stringValue, let score = entry[1]?.doubleValue, score.isFinite else {
                throw .tokenizer(
                    path: tokenizerPath, field: "model.vocab[\(id)]", found: "something else",
                    expected: "a text and a score")
            }
            try table.add(text, id: id, id == unknown ? .unknown : .normal, score: Float(score))
        }
        try addSpecial(json, to: &table)
        var tail: [(String, GGUFValue)] = [("tokenizer.ggml.add_space_prefix", .bool(prependsSpace(json)))]
        let normalizers = json["normalizer"]?["normalizers"]?.arrayValue ?? json["normalizer"].map { [$0] } ?? []
        for normalizer in normalizers where normalizer["type"]?.stringValue == "Precompiled" {
            guard let text = normalizer["precompiled_charsmap"]?.stringValue, let map = Data(base64Encoded: text)
            else { continue }
            tail.append(("tokenizer.ggml.precompiled_charsmap", .array(GGUFArray([UInt8](map)))))
        }
        let head: [(String, GGUFValue)] = [
            ("tokenizer.ggml.model", .string("t5")), ("tokenizer.ggml.pre", .string("default")),
        ]
        return (try head + table.metadata(rows: rows, withScores: true) + tail, table)
    }

    // MARK: tokenizer.model

    /// - Parameter json: the same vocabulary as `tokenizer.json`, which knows the added tokens.
    private func pieces(
        rows: Int, with json: JSONObject? = nil
    ) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        let file = try SentencePieceFile(try JSONFile.bytes(piecesPath), path: piecesPath)
        var table = TokenTable(path: piecesPath)
        for (id, piece) in file.pieces.enumerated() {
            try table.add(piece.text, id: id, TokenTable.Kind(rawValue: piece.type) ?? .normal, score: piece.score)
        }
        if let json {
            try addSpecial(json, to: &table)
        } else {
            try addFromSettings(to: &table)
        }
        let head: [(String, GGUFValue)] = [
            ("tokenizer.ggml.model", .string(file.isBytePair ? "llama" : "t5")),
            ("tokenizer.ggml.pre", .string("default")),
        ]
        let addsSpace = json.map(prependsSpace) ?? file.addsSpacePrefix
        var tail: [(String, GGUFValue)] = [("tokenizer.ggml.add_space_prefix", .bool(addsSpace))]
        if !file.isBytePair {
            tail.append(("tokenizer.ggml.remove_extra_whitespaces", .bool(file.removesExtraSpaces)))
            if !file.characterMap.isEmpty {
                tail.append(("tokenizer.ggml.precompiled_charsmap", .array(GGUFArray(file.characterMap))))
            }
        }
        return (try head + table.metadata(rows: rows, withScores: true) + tail, table)
    }

    // MARK: tiktoken.model

    /// Kimi's: such a file does not say how text is cut into words, which stands in Python code beside it.
    private func ranked(rows: Int, architecture: String) throws(ConvertError) -> ([(String, GGUFValue)], TokenTable) {
        guard architecture == "kimi-linear" else {
            throw .file(
                path: ranksPath,
                reason: "says not how text is cut into words, which is known of Kimi only; tokenizer.json is needed")
        }
        let file = try RankFile(try JSONFile.bytes(ranksPath), path: ranksPath)
        var table = TokenTable(path: ranksPath)
        for (id, token) in file.tokens.enumerated() { try table.add(ByteLevelAlphabet.text(of: token), id: id) }
        try addFromSettings(to: &table)
        let merges = try file.merges().map {
            "\(ByteLevelAlphabet.text(of: $0)) \(ByteLevelAlphabet.text(of: $1))"
        }
        let head: [(String, GGUFValue)] = [
            ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("kimi-k2")),
        ]
        return (
            try head + table.metadata(rows: rows, withScores: false)
                + [("tokenizer.ggml.merges", .array(GGUFArray(merges)))], table
        )
    }

    // MARK: Added tokens and roles

    /// Added tokens as `tokenizer_config.json` or the older `added_tokens.json` list them.
    func addFromSettings(to table: inout TokenTable) throws(ConvertError) {
        for (key, token) in settings["added_tokens_decoder"]?.objectValue?.members.map({ ($0, $1) }) ?? [] {
            guard let id = Int(key), let text = token["content"]?.stringValue else { continue }
            try table.addSpecial(text, id: id, isControl: token["special"]?.boolValue ?? true)
        }
        let older = try JSONFile.readIfPresent("\(folder)/added_tokens.json") ?? JSONObject()
        for (text, id) in older.members where table.id(of: text) == nil {
            guard let id = id.intValue else { continue }
            try table.addSpecial(text, id: id, isControl: true)
        }
    }

    private func specialKeys(
        _ table: TokenTable, path: String, isWordPiece: Bool
    ) throws(ConvertError) -> [(String, GGUFValue)] {
        var keys: [(String, GGUFValue)] = []
        func put(_ name: String, _ id: Int) { keys.append(("tokenizer.ggml.\(name)_token_id", .uint32(UInt32(id)))) }
        let named = [
            ("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding"),
            ("cls", "cls"), ("mask", "mask"),
        ]
        let json = try JSONFile.readIfPresent(tokenizerPath)
        let marks = isWordPiece ? wordPieceMarks(json) : [:]
        var eos: Int?
        for (role, key) in named {
            guard let id = special(role, table) ?? marks[role]?.lazy.compactMap({ table.id(of: $0) }).first else {
                continue
            }
            put(key, id)
            if role == "eos" { eos = id }
        }
        // What else ends an answer.
        let ends = [generation["eos_token_id"], config.root["eos_token_id"], config.text["eos_token_id"]].flatMap(
            Self.ids)
        var others: [Int] = []
        for id in ends where id != eos && !others.contains(id) && 0..<table.texts.count ~= id { others.append(id) }
        if let eot = others.first { put("eot", eot) }
        if others.count > 1 { put("eom", others[1]) }
        let template = Self.template(json)
        for (role, flag) in [("bos", "add_bos_token"), ("eos", "add_eos_token")] {
            if let stated = settings[flag]?.boolValue {
                keys.append(("tokenizer.ggml.\(flag)", .bool(stated)))
            } else if let template, let text = text(of: role) {
                let place = role == "bos" ? template.first : template.last
                keys.append(("tokenizer.ggml.\(flag)", .bool(place == text)))
            }
        }
        return keys
    }

    /// The token of a role: named by the tokenizer's settings, or numbered by the model's.
    private func special(_ role: String, _ table: TokenTable) -> Int? {
        if let text = text(of: role), let id = table.id(of: text) { return id }
        let id = Self.ids(config.root["\(role)_token_id"]).first ?? Self.ids(config.text["\(role)_token_id"]).first
        return id.flatMap { 0..<table.texts.count ~= $0 ? $0 : nil }
    }

    func text(of role: String) -> String? {
        let value = settings["\(role)_token"] ?? specialMap["\(role)_token"]
        return value?.stringValue ?? value?["content"]?.stringValue
    }

    private static func ids(_ value: JSONValue?) -> [Int] {
        value?.intValue.map { [$0] } ?? value?.arrayValue?.compactMap(\.intValue) ?? []
    }

    /// What is put around one text, "" for the text itself; nil where the file does not say.
    private static func template(_ json: JSONObject?) -> [String]? {
        guard let processor = json?["post_processor"], !processor.isNull else { return json == nil ? nil : [""] }
        let parts = processor["processors"]?.arrayValue ?? [processor]
        guard
            let single = parts.first(where: { $0["type"]?.stringValue == "TemplateProcessing" })?["single"]?.arrayValue
        else { return parts.contains { $0["type"]?.stringValue == "BertProcessing" } ? nil : [""] }
        return single.map { $0["SpecialToken"]?["id"]?.stringValue ?? "" }
    }

    // MARK: Chat templates

    private func templateKeys() throws(ConvertError) -> [(String, GGUFValue)] {
        let path = "\(folder)/chat_template.jinja"
        if FileManager.default.fileExists(atPath: path) {
            return [(Self.templateKey, .string(String(decoding: try JSONFile.bytes(path), as: UTF8.self)))]
        }
        let own = try JSONFile.readIfPresent("\(folder)/chat_template.json")
        let value = own?["chat_template"] ?? settings["chat_template"]
        if let text = value?.stringValue { return [(Self.templateKey, .string(text))] }
        var keys: [(String, GGUFValue)] = []
        var names: [String] = []
        for entry in value?.arrayValue ?? [] {
            guard let name = entry["name"]?.stringValue, let text = entry["template"]?.stringValue else { continue }
            if name == "default" {
                keys.append((Self.templateKey, .string(text)))
            } else if !names.contains(name), name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) {
                names.append(name)
                keys.append(("\(Self.templateKey).\(name)", .string(text)))
            }
        }
        if !names.isEmpty { keys.append(("tokenizer.chat_templates", .array(GGUFArray(names)))) }
        return keys
    }

    private static let templateKey = "tokenizer.chat_template"
}
