import ChatTemplates
import TestSupport
import Testing

@testable import InferKit

/// Grammars of random schemas against a validator that knows nothing of grammars.
struct SchemaPropertyTests {
    @Test(arguments: 0..<12 as Range<UInt64>) func randomSchemas(_ seed: UInt64) throws {
        var source = RandomSchema(seed: seed)
        var (compiled, sampled, accepted, rejected) = (0, 0, 0, 0)
        for _ in 0..<25 {
            let schema = source.schema()
            let validator = SchemaValidator(root: schema)
            let grammar: TextGrammar
            do {
                grammar = try TextGrammar(schema: schema)
            } catch {
                guard case .unsatisfiable = error else { throw error }
                // Then no value may be found.
                for _ in 0..<20 {
                    let value = source.value(for: schema, root: schema)
                    #expect(!validator.isValid(value), "\(schema.text()) has \(value.text())")
                }
                continue
            }
            compiled += 1
            // Whatever can be written satisfies the schema.
            for _ in 0..<8 {
                guard let bytes = try grammar.sample(using: &source.random) else { continue }
                sampled += 1
                let isValid = isValidText(bytes, validator)
                #expect(isValid, "\(schema.text()) gives \(String(decoding: bytes, as: UTF8.self))")
            }
            // What satisfies it can be written, and what does not cannot.
            for _ in 0..<20 {
                let value = source.value(for: schema, root: schema)
                for (value, isOwn) in [(value, true), (source.mutation(of: value), false)] {
                    let isValid = validator.isValid(value)
                    // Other values may be valid and yet not what a generator writes: other members, another order.
                    guard isOwn || !isValid else { continue }
                    if isValid { accepted += 1 } else { rejected += 1 }
                    for style in [JSONStyle.compact, .spaced] {
                        #expect(
                            try grammar.accepts(value.text(style)) == isValid,
                            "\(schema.text()): \(value.text(style)) is \(isValid ? "valid" : "not valid")")
                    }
                }
            }
        }
        #expect(compiled > 15 && sampled > 60 && accepted > 100 && rejected > 100)
    }

    private func isValidText(_ text: [UInt8], _ validator: SchemaValidator) -> Bool {
        do throws(JSONError) {
            return validator.isValid(try JSONValue(parsing: text))
        } catch {
            // Grammars know no range of floating point.
            return error.message == "number out of range"
        }
    }
}
