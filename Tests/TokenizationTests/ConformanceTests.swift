import Foundation
import GGUF
import TestSupport
import Testing
import Tokenization

/// Every case of the conformance folder: ids as the models' original tokenizers give them.
@Suite(.enabled(if: SharedData.conformance != nil)) struct ConformanceTests {
    struct Case: Decodable {
        var text: String
        var ids: [Int32]
        var add_special: Bool
        var parse_special: Bool
        var category: String
        var alt: [Alternative]?
        var roundtrip: Bool?

        struct Alternative: Decodable { var ids: [Int32] }
    }

    struct Meta: Decodable {
        var bos, eos, eot, sep, nl, pad: Int32
        var add_bos, add_eos, add_sep: Bool
        var eog: Set<Int32>
        var n_vocab: Int
        var vocab_file: String
        var cases: Int
    }

    static let names: [String] = {
        guard let folder = SharedData.conformance?.appending(path: "tokenizers") else { return [] }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".meta.json") }.map { String($0.dropLast(10)) }.sorted()
    }()

    static func load(_ name: String) throws -> (Tokenizer, Meta, [Case]) {
        let folder = try #require(SharedData.conformance).appending(path: "tokenizers")
        let decoder = JSONDecoder()
        let meta = try decoder.decode(Meta.self, from: Data(contentsOf: folder.appending(path: "\(name).meta.json")))
        let lines = try Data(contentsOf: folder.appending(path: "\(name).jsonl")).split(separator: 0x0a)
        let cases = try lines.map { try decoder.decode(Case.self, from: $0) }
        let file = try GGUFFile(path: folder.appending(path: meta.vocab_file).path)
        return (try Tokenizer(file.metadata), meta, cases)
    }

    @Test func vocabulariesArePresent() { #expect(Self.names.count >= 8) }

    @Test(arguments: names) func idsOfTexts(_ name: String) throws {
        let (tokenizer, meta, cases) = try Self.load(name)
        #expect(cases.count == meta.cases)
        var original = 0
        for each in cases {
            let ids = tokenizer.encode(each.text, addSpecial: each.add_special, parseSpecial: each.parse_special)
            if ids == each.ids { original += 1 }
            let accepted = [each.ids] + (each.alt ?? []).map { $0.ids }
            #expect(accepted.contains(ids), "\(each.category): \(each.text.debugDescription)")
        }
        // Two texts with U+061D, punctuation since Unicode 14, which BERT's tokenizer does not know.
        #expect(cases.count - original == (name == "bert-bge" ? 2 : 0), "disputed cases, not as the original")
    }

    @Test(arguments: names) func textsOfIDs(_ name: String) throws {
        let (tokenizer, _, cases) = try Self.load(name)
        var back = 0
        for each in cases where each.roundtrip == true {
            let text = tokenizer.decode(each.ids, renderSpecial: true)
            #expect(Array(text.utf8) == Array(each.text.utf8), "\(each.category): \(each.text.debugDescription)")
            back += 1
        }
        #expect(back > 0)
    }

    @Test(arguments: names) func specialTokens(_ name: String) throws {
        let (tokenizer, meta, _) = try Self.load(name)
        #expect(tokenizer.vocabularySize == meta.n_vocab)
        #expect(tokenizer.bos ?? -1 == meta.bos)
        #expect(tokenizer.eos ?? -1 == meta.eos)
        #expect(tokenizer.eot ?? -1 == meta.eot)
        #expect(tokenizer.separator ?? -1 == meta.sep)
        #expect(tokenizer.padding ?? -1 == meta.pad)
        #expect(tokenizer.addBOS == meta.add_bos)
        #expect(tokenizer.addEOS == meta.add_eos)
        #expect(tokenizer.addSeparator == meta.add_sep)
        // An ordinary word that looks like an end marker does not end generation here.
        let lookalikes = meta.eog.filter { tokenizer.text(of: $0) == "</s>" && tokenizer.type(of: $0) == .normal }
        #expect(tokenizer.endOfGeneration == meta.eog.subtracting(lookalikes))
    }
}
