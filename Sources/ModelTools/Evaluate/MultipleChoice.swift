import Engine
import Foundation
import GGUF
import Tokenization

/// Questions with several answers, of which the model takes the most likely one.
///
/// As EleutherAI's lm-evaluation-harness scores them (`lm_eval/api/task.py`, `api/model.py`): the likelihood of an answer
/// is that of its tokens behind the question's; `acc` takes the largest, `acc_norm` the largest per character of the
/// answer. Of equal ones the first counts.
package struct MultipleChoice {
    package struct Item: Equatable, Sendable {
        /// Where it stands in its file, from 1.
        package var line: Int
        package var prompt: String
        package var choices: [String]
        /// The place of the right one.
        package var answer: Int

        package init(line: Int, prompt: String, choices: [String], answer: Int) {
            self.line = line
            self.prompt = prompt
            self.choices = choices
            self.answer = answer
        }
    }

    /// What one item gave.
    package struct Part: Codable, Equatable, Sendable {
        package var line: Int
        package var answer: Int
        /// One per choice, natural logarithms.
        package var logLikelihoods: [Double]
        /// 1 when the right one is the largest, and the largest per character.
        package var acc: Int
        package var accNorm: Int

        enum CodingKeys: String, CodingKey {
            case line, answer, acc
            case logLikelihoods = "log_likelihoods"
            case accNorm = "acc_norm"
        }

        package init(_ item: Item, _ logLikelihoods: [Double]) {
            line = item.line
            answer = item.answer
            self.logLikelihoods = logLikelihoods
            acc = Self.first(of: logLikelihoods) == item.answer ? 1 : 0
            let perCharacter = zip(logLikelihoods, item.choices).map { $0 / Double($1.unicodeScalars.count) }
            accNorm = Self.first(of: perCharacter) == item.answer ? 1 : 0
        }

        private static func first(of values: [Double]) -> Int? {
            values.max().flatMap { values.firstIndex(of: $0) }
        }
    }

    private let scorer: SequenceScorer
    /// What stands between question and answer.
    private let delimiter: String

    package init(_ scorer: SequenceScorer, delimiter: String = " ") {
        self.scorer = scorer
        self.delimiter = delimiter
    }

    /// Goes through the items that `state` does not have yet.
    /// - Parameter progress: called with the items done and all; false stops.
    /// - Throws: `EvaluationError`, `EngineError`; `EvaluationError.cancelled` when `progress` said so.
    package func run(_ items: [Item], _ state: RunState<Part>, progress: (Int, Int) -> Bool) throws {
        for (number, item) in items.enumerated().dropFirst(state.records.count) {
            let likelihoods = try item.choices.map { choice in
                try logLikelihood(of: choice, behind: item.prompt, line: item.line) { progress(number, items.count) }
            }
            try state.append(Part(item, likelihoods))
            guard progress(number + 1, items.count) || number + 1 == items.count else {
                throw EvaluationError.cancelled
            }
        }
    }

    private func logLikelihood(
        of choice: String, behind prompt: String, line: Int, goesOn: () -> Bool
    ) throws -> Double {
        let (context, target) = try tokens(prompt: prompt, continuation: delimiter + choice, line: line)
        var sum = 0.0
        var failure: (any Error)?
        try EvaluationError.translating { () throws(EngineError) in
            try scorer.score(
                context: context, target: target, isCancelled: { failure != nil || !goesOn() }
            ) { place, logits in
                if let best = LogProbability.maximum(logits) {
                    sum -= LogProbability.loss(logits, of: Int(target[place]), maximum: best.value)
                } else {
                    failure = EvaluationError.notFinite(position: context.count + place)
                }
            }
        } unless: {
            failure
        }
        return sum
    }

    /// Question and answer are cut into tokens together, and the answer's are those behind as many as the question alone
    /// has. White space at the end of the question belongs to the answer.
    func tokens(
        prompt: String, continuation: String, line: Int
    ) throws(EvaluationError) -> (context: [Int32], target: [Int32]) {
        let kept = prompt.unicodeScalars.reversed().drop { $0.properties.isWhitespace }.reversed()
        var question = String.UnicodeScalarView()
        question.append(contentsOf: kept)
        func encode(_ text: String) -> [Int32] {
            scorer.tokenizer.encode(text, addSpecial: false, parseSpecial: true)
        }
        let whole = encode(prompt + continuation)
        let split = question.isEmpty ? 0 : encode(String(question)).count
        // Tokens that join both belong to the question then; at least one is the answer's.
        let end = min(split, whole.count - 1)
        guard end >= 0 else { throw .wrongOption("line \(line): a choice has no tokens") }
        var context = (scorer.lead.map { [$0] } ?? []) + whole[..<end]
        let target = [Int32](whole[end...])
        if context.isEmpty {
            guard let first = scorer.tokenizer.bos ?? scorer.tokenizer.eos else {
                throw .wrongOption("line \(line): the prompt is empty, and the model has no token to begin a text with")
            }
            context = [first]
        }
        // Of a text that is too long the beginning is left away. The last token is not run.
        let room = scorer.capacity - target.count + 1
        guard room >= 1 else {
            throw .wrongOption(
                "line \(line): a choice has \(target.count) tokens, the context has room for \(scorer.capacity)")
        }
        return ([Int32](context.suffix(room)), target)
    }

    /// Shares of right answers; nil without any.
    package static func result(_ parts: [Part]) -> (acc: Estimate, accNorm: Estimate)? {
        guard let acc = Estimate(mean: parts.map { Double($0.acc) }),
            let accNorm = Estimate(mean: parts.map { Double($0.accNorm) })
        else { return nil }
        return (acc, accNorm)
    }
}
