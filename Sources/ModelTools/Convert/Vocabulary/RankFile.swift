import Foundation

/// `tiktoken.model`: a vocabulary of the tiktoken library, a line of base64 and rank for each token. The rank is the id,
/// and of two pairs the one that makes the token of the lower rank is merged first.
struct RankFile {
    /// By rank.
    private(set) var tokens: [[UInt8]] = []
    private let path: String

    /// More tokens than any vocabulary has, and more bytes than its longest one.
    private static let most = 1 << 22
    private static let longest = 256

    /// - Throws: `ConvertError.tokenizer`.
    init(_ bytes: [UInt8], path: String) throws(ConvertError) {
        self.path = path
        for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
            let parts = line.split(separator: UInt8(ascii: " "))
            guard parts.count == 2, let token = Data(base64Encoded: Data(parts[0])), 1...Self.longest ~= token.count,
                Int(String(decoding: parts[1], as: UTF8.self)) == number, number < Self.most
            else {
                throw .tokenizer(
                    path: path, field: "line \(number + 1)", found: String(decoding: line.prefix(50), as: UTF8.self),
                    expected: "a token in base64 and the rank \(number)")
            }
            tokens.append([UInt8](token))
        }
    }

    /// The pairs that make the tokens, as `merges` lists them: the last pair that is merged when a token is put together
    /// by the ranks below its own.
    /// - Throws: `ConvertError.tokenizer` for a token that merging does not reach, or that is there twice.
    func merges() throws(ConvertError) -> [([UInt8], [UInt8])] {
        var ranks: [ArraySlice<UInt8>: Int] = [:]
        ranks.reserveCapacity(tokens.count)
        for (rank, token) in tokens.enumerated() {
            guard ranks.updateValue(rank, forKey: token[...]) == nil else {
                throw .tokenizer(path: path, field: "line \(rank + 1)", found: "a token again", expected: "a new one")
            }
        }
        var merges: [([UInt8], [UInt8])] = []
        for (rank, token) in tokens.enumerated() where token.count > 1 {
            var parts = token.indices.map { token[$0...$0] }
            while parts.count > 2 {
                var best: (rank: Int, place: Int)?
                for place in 1..<parts.count {
                    let pair = token[parts[place - 1].startIndex..<parts[place].endIndex]
                    if let found = ranks[pair], found < min(rank, best?.rank ?? .max) { best = (found, place) }
                }
                guard let best else { break }
                parts[best.place - 1] = token[parts[best.place - 1].startIndex..<parts[best.place].endIndex]
                parts.remove(at: best.place)
            }
            guard parts.count == 2, parts.allSatisfy({ ranks[$0] != nil }) else {
                throw .tokenizer(
                    path: path, field: "line \(rank + 1)", found: "a token that no two tokens make",
                    expected: "one that is made by merging")
            }
            merges.append(([UInt8](parts[0]), [UInt8](parts[1])))
        }
        return merges
    }
}
