import Engine
import Foundation
import Testing

@Suite struct SamplingMathTests {
    @Test func expAgreesWithTheLibrary() {
        for i in -7440...7090 {
            let x = Double(i) / 10 + 0.0137
            let expected = exp(x)
            #expect(abs(SamplingMath.exp(x) - expected) <= 4 * expected.ulp, "exp(\(x))")
        }
        #expect(SamplingMath.exp(0) == 1)
        #expect(SamplingMath.exp(-.infinity) == 0)
        #expect(SamplingMath.exp(.infinity) == .infinity)
        #expect(SamplingMath.exp(.nan).isNaN)
    }

    @Test func logAgreesWithTheLibrary() {
        var x = 1e-300
        while x < 1e300 {
            let expected = log(x)
            #expect(abs(SamplingMath.log(x) - expected) <= 4 * max(abs(expected), 0x1p-8).ulp, "log(\(x))")
            x *= 1.37
        }
        #expect(SamplingMath.log(1) == 0)
        #expect(SamplingMath.log(0) == -.infinity)
        #expect(SamplingMath.log(-1).isNaN)
    }
}
