// The germanium chain of processing_chain-geds.yaml for whole traces, one block of threads for each trace.
// What `gpu_chain.py` measures; see there. A trace stays in shared memory from its samples to its numbers.

#define THREADS 256
#define WARPS (THREADS / 32)
#define CHUNK 16                       // neighbouring samples of one thread
#define MOST (THREADS * CHUNK)         // samples of a trace at most: 4096
#define FEW 768                        // averaged samples at most
#define PAD(i) ((i) + ((i) >> 4))      // neighbours of one thread lie in different banks
#define NONE __int_as_float(0x7fc00000)

struct Chain {
    int samples, averaged, rate;       // samples of a trace; averaged samples, and samples of an average
    int baseline, tail, after;         // end of the baseline; begins of the tail and of what is behind the pulse
    int rise, flat, energy_rise, energy_flat;
    float energy_pickoff;              // averaged samples behind the start of the pulse
    int taps, kept;                    // coefficients of cusp and zac, samples of their results
    float cusp_pickoff, zac_pickoff;
    int t0_taps;
    float lowest, highest, tau;        // of the digitizer; the decay constant in averaged samples
    float ratio;                       // averaged samples a sample: rate of sampling
    double a, b, c, a_full, b_full, c_full;  // double pole-zero of the averaged trace and of the trace itself
    int early, late, late_top, late_after;   // charge after the start; late charge after 80 %
    int window_before, window, finer, average;
    float period;                      // ns
};

enum {
    TP_MIN, TP_MAX, WF_MIN, WF_MAX, N_SAT_LO, N_SAT_HI, BL_MEAN, BL_STD, BL_SLOPE, BL_INTERCEPT, TAIL_HEIGHT,
    PZ_BL_MEAN, PZ_BL_STD, PZ_MEAN, PZ_STD, PZ_SLOPE, PZ_AFTER_STD, TRAP_T, TRAP_E, TRAP_EFTP, CUSP, CUSP_FTP, ZAC,
    ZAC_FTP, TP_0, TP_01, TP_10, TP_20, TP_50, TP_80, TP_90, TP_95, TP_99, DRIFT, DT_EFF, QDRIFT, A_MAX, TP_AOE, LQ80,
    COLUMNS
};

__device__ float sum_of_warp(float v) {
    for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(~0u, v, d);
    return v;
}

__device__ double sum_of_warp(double v) {
    for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(~0u, v, d);
    return v;
}

// Order of float32 as integers, and the first place of the largest in the same word.
__device__ unsigned ordered(float v) {
    unsigned bits = __float_as_uint(v);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ float value_of(unsigned key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

__device__ unsigned long long highest_with_place(float v, int i) {
    return ((unsigned long long)ordered(v) << 32) | (unsigned)(0x7fffffff - i);
}

__device__ unsigned long long lowest_with_place(float v, int i) {
    return ((unsigned long long)ordered(v) << 32) | (unsigned)i;
}

__device__ unsigned long long most_of_warp(unsigned long long v) {
    for (int d = 16; d; d >>= 1) v = max(v, __shfl_xor_sync(~0u, v, d));
    return v;
}

__device__ unsigned long long least_of_warp(unsigned long long v) {
    for (int d = 16; d; d >>= 1) v = min(v, __shfl_xor_sync(~0u, v, d));
    return v;
}

// Line through n samples by one warp: mean, scatter, slope, intercept. Sums are taken relative to the first sample.
__device__ void line(const float* w, int n, float* out) {
    double zero = w[0], s = 0, q = 0, m = 0;
    for (int i = threadIdx.x & 31; i < n; i += 32) {
        double v = w[i] - zero;
        s += v, q += v * v, m += v * i;
    }
    s = sum_of_warp(s), q = sum_of_warp(q), m = sum_of_warp(m);
    double x = 0.5 * n * (n - 1.0), xx = (n - 1.0) * n * (2.0 * n - 1) / 6;
    double slope = (n * m - x * s) / (n * xx - x * x);
    if ((threadIdx.x & 31) == 0) {
        out[0] = zero + s / n;
        out[1] = sqrt(max(q - s * s / n, 0.0) / (n - 1));
        out[2] = slope;
        out[3] = zero + (s - x * slope) / n;
    }
}

// Where thread `t`, with the last value of its part, begins: v[t-1] + factor * (what came before), by all threads.
__device__ double carried(double last, double factor, double* warps) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    double f = factor;
    for (int d = 1; d < 32; d <<= 1) {
        double before = __shfl_up_sync(~0u, last, d);
        if (lane >= d) last += f * before;
        f *= f;
    }
    __syncthreads();
    if (lane == 31) warps[warp] = last;
    __syncthreads();
    double begin = 0;                  // value at the end of the warp before; f is now factor to the power of 32
    for (int k = 0; k < warp; k++) begin = warps[k] + f * begin;
    double mine = __shfl_up_sync(~0u, last, 1);
    if (lane == 0) mine = 0;
    double p = 1, g = factor;          // factor to the power of the lane
    for (int k = lane; k; k >>= 1, g *= g) if (k & 1) p *= g;
    return mine + p * begin;
}

// Double pole-zero correction: differences follow d[i] = s[i] + c d[i-1], values are their sums; s depends on w alone.
template <int SIZE, class Read, class Write>
__device__ void pole_zero(int n, double a, double b, double c, double* warps, Read read, Write write) {
    int first = threadIdx.x * SIZE;
    double d[SIZE], power = 1;
    double w1 = first > 0 && first - 1 < n ? read(first - 1) : 0, w2 = first > 1 && first - 2 < n ? read(first - 2) : 0;
    double before = 0;
    for (int k = 0; k < SIZE; k++) {
        int i = first + k;
        double w = i < n ? read(i) : 0;
        double s = i == 0 ? 0 : i == 1 ? w - w1 : w - (a + b) * w1 + a * b * w2;
        before = s + (i == 1 ? 0 : c) * before;
        d[k] = before, w2 = w1, w1 = w, power *= c;
    }
    double from = carried(before, power, warps);
    double p = c, total = 0;
    for (int k = 0; k < SIZE; k++, p *= c) total += d[k] += p * from, d[k] = total;
    double level = carried(total, 1.0, warps) + read(0);
    __syncthreads();
    for (int k = 0; k < SIZE; k++) if (first + k < n) write(first + k, (float)(d[k] + level));
}

__device__ bool falls_in(float before, float after, float threshold) {  // dspeed's condition for searches backwards
    return (before < threshold && threshold <= after) || (before > threshold && threshold >= after);
}

__device__ float at_time(const float* w, int n, float t) {
    if (!(t >= 0 && t <= n - 1)) return NONE;
    int i = (int)t;
    float part = t - i;
    return part == 0 ? w[i] : (1 - part) * w[i] + part * w[i + 1];
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
chain(const unsigned short* traces, int count, const Chain* given, const float* cusp, const float* zac, const float* t0, float* out) {
    extern __shared__ float memory[];
    const Chain c = *given;
    float* full = memory;                               // the trace, later its corrected form
    float* wide = full + PAD(MOST) + 1;                 // t0, then the current
    float* ps = wide + PAD(MOST) + 1;
    float* above = ps + FEW;
    float* pz = above + FEW;
    float* cusps = pz + FEW;                            // results of cusp and zac
    double* sums = (double*)(cusps + FEW + (((size_t)(cusps + FEW) & 4) ? 1 : 0));
    double* warps = sums + FEW + 1;
    __shared__ float r[COLUMNS], fit[20], scalar[8];
    __shared__ unsigned long long low, high, high2;
    __shared__ int found[10], beyond[2];
    const int t = threadIdx.x, lane = t & 31, warp = t >> 5, n = c.samples, few = c.averaged;

    for (int row = blockIdx.x; row < count; row += gridDim.x) {
        __syncthreads();
        if (t == 0) low = ~0ull, high = high2 = 0, beyond[0] = beyond[1] = 0;
        if (t < COLUMNS) r[t] = NONE;
        if (t < 10) found[t] = t == 1 ? MOST : -1;
        __syncthreads();

        // samples, saturation
        const uint4* source = (const uint4*)(traces + (size_t)row * n);
        int under = 0, over = 0;
        for (int i = t; i < n / 8; i += THREADS) {
            uint4 four = source[i];
            unsigned words[4] = {four.x, four.y, four.z, four.w};
            for (int k = 0; k < 8; k++) {
                float v = (words[k >> 1] >> (16 * (k & 1))) & 0xffff;
                under += v <= c.lowest, over += v >= c.highest;
                full[PAD(8 * i + k)] = v;
            }
        }
        under = __reduce_add_sync(~0u, under), over = __reduce_add_sync(~0u, over);
        if (lane == 0 && under) atomicAdd(&beyond[0], under);
        if (lane == 0 && over) atomicAdd(&beyond[1], over);
        __syncthreads();

        // average, extrema, baseline
        unsigned long long least = ~0ull, most = 0;
        for (int i = t; i < few; i += THREADS) {
            float v = 0;
            for (int k = 0; k < c.rate; k++) v += full[PAD(i * c.rate + k)] / c.rate;
            ps[i] = v;
            least = min(least, lowest_with_place(v, i)), most = max(most, highest_with_place(v, i));
        }
        least = least_of_warp(least), most = most_of_warp(most);
        if (lane == 0) atomicMin(&low, least), atomicMax(&high, most);
        __syncthreads();
        if (warp == 0) line(ps, c.baseline, fit);
        __syncthreads();
        if (t == 0) {
            float mean = fit[0], deviation = fit[1], slope = fit[2], length = c.baseline;
            float sign = slope > 0 ? 1 : slope < 0 ? -1 : 0;
            bool tail = slope * slope * length * length * length > (534 + 234 * sign) * deviation * deviation;
            float height = tail ? slope * -c.tau : 0;
            scalar[0] = mean - height, scalar[1] = height;
            r[TP_MIN] = (unsigned)low * c.period * c.rate, r[WF_MIN] = value_of(low >> 32);
            r[TP_MAX] = (0x7fffffff - (unsigned)high) * c.period * c.rate, r[WF_MAX] = value_of(high >> 32);
            r[N_SAT_LO] = beyond[0], r[N_SAT_HI] = beyond[1];
            r[BL_MEAN] = mean, r[BL_STD] = deviation, r[BL_SLOPE] = slope, r[BL_INTERCEPT] = fit[3];
            r[TAIL_HEIGHT] = height;
            high = 0;
        }
        __syncthreads();
        const float level = scalar[0], height = scalar[1];
        const double centre = 0.5 * c.baseline - 0.5, centre_full = 0.5 * c.baseline * c.rate - 0.5;
        for (int i = t; i < few; i += THREADS) {
            float v = ps[i] - level;
            above[i] = height == 0 ? v : (float)(v - height * exp(-(i - centre) / c.tau));
        }
        for (int i = t; i < n; i += THREADS) {
            float v = full[PAD(i)] - level;
            full[PAD(i)] = height == 0 ? v : (float)(v - height * exp(-(i - centre_full) / (c.tau * c.rate)));
        }
        __syncthreads();

        // pole-zero correction, lines of the corrected trace
        pole_zero<3>(few, c.a, c.b, c.c, warps, [&](int i) { return (double)above[i]; }, [&](int i, float v) { pz[i] = v; });
        __syncthreads();
        if (warp == 0) line(above, c.baseline, fit + 16);
        if (warp == 1) line(pz, c.baseline, fit);
        if (warp == 2) line(pz + c.tail, few - c.tail, fit + 4);
        if (warp == 3) line(pz + c.after, few - c.after, fit + 8);
        {   // sums of the corrected trace, for trapezoids
            double part[3], total = 0;
            for (int k = 0; k < 3; k++) total += 3 * t + k < few ? pz[3 * t + k] : 0, part[k] = total;
            double before = carried(total, 1.0, warps);
            if (t == 0) sums[0] = 0;
            for (int k = 0; k < 3; k++) if (3 * t + k < few) sums[3 * t + k + 1] = before + part[k];
        }
        __syncthreads();
        const float corrected = fit[0];
        pole_zero<CHUNK>(n, c.a_full, c.b_full, c.c_full, warps, [&](int i) { return (double)full[PAD(i)]; },
                         [&](int i, float v) { full[PAD(i)] = v - corrected; });
        __syncthreads();

        // trapezoids
        auto trapezoid = [&](int i, int rise, int flat) {
            double late = sums[i + 1] - sums[max(i + 1 - rise, 0)];
            double early = sums[max(i + 1 - rise - flat, 0)] - sums[max(i + 1 - 2 * rise - flat, 0)];
            return (float)((late - early) / rise);
        };
        most = 0;
        unsigned long long most2 = 0;
        for (int i = t; i < few; i += THREADS) {
            most = max(most, highest_with_place(trapezoid(i, c.rise, c.flat), i));
            most2 = max(most2, highest_with_place(trapezoid(i, c.energy_rise, c.energy_flat), i));
        }
        most = most_of_warp(most), most2 = most_of_warp(most2);
        if (lane == 0) atomicMax(&high, most), atomicMax(&high2, most2);
        for (int i = t; i < 2 * c.kept; i += THREADS) cusps[i] = 0;
        __syncthreads();

        // cusp and zac: four results of both and a third of the coefficients by one thread
        {
            const int groups = (c.kept + 3) / 4, third = (c.taps + 2) / 3, part = t / groups, j = 4 * (t % groups);
            if (part < 3) {
                float f[4] = {0, 0, 0, 0}, g[4] = {0, 0, 0, 0};
                const int begin = part * third, end = min(begin + third, c.taps);
                float x0 = above[j + begin], x1 = above[j + begin + 1], x2 = above[j + begin + 2], x3;
                for (int k = begin; k < end; k++) {
                    float u = __ldg(cusp + k), v = __ldg(zac + k);
                    x3 = above[min(j + k + 3, FEW - 1)];
                    f[0] += u * x0, f[1] += u * x1, f[2] += u * x2, f[3] += u * x3;
                    g[0] += v * x0, g[1] += v * x1, g[2] += v * x2, g[3] += v * x3;
                    x0 = x1, x1 = x2, x2 = x3;
                }
                for (int k = 0; k < 4; k++)
                    if (j + k < c.kept) atomicAdd(cusps + j + k, f[k]), atomicAdd(cusps + c.kept + j + k, g[k]);
            }
        }
        if (t == 0) {
            r[PZ_BL_MEAN] = fit[0], r[PZ_BL_STD] = fit[1];
            r[PZ_MEAN] = fit[4], r[PZ_STD] = fit[5], r[PZ_SLOPE] = fit[6], r[PZ_AFTER_STD] = fit[9];
            r[TRAP_T] = value_of(high >> 32), r[TRAP_E] = value_of(high2 >> 32);
        }
        __syncthreads();
        if (t == 0) low = high = high2 = 0;
        __syncthreads();

        // t0: sixteen neighbours by one thread
        {
            float f[CHUNK], x[CHUNK];
            const int first = t * CHUNK;
            for (int k = 0; k < CHUNK; k++) f[k] = 0, x[k] = first + k < n ? full[PAD(first + k)] : 0;
            for (int begin = 0; begin < c.t0_taps; begin += CHUNK) {
#pragma unroll
                for (int k = 0; k < CHUNK; k++) {
                    float coefficient = begin + k < c.t0_taps ? __ldg(t0 + begin + k) : 0;
#pragma unroll
                    for (int i = 0; i < CHUNK; i++) f[i] += coefficient * x[(i - k + CHUNK) % CHUNK];
                    int next = first - begin - k - 1;  // takes the place of the sample that is no longer needed
                    x[(CHUNK - 1 - k) % CHUNK] = next >= 0 ? full[PAD(next)] : 0;
                }
            }
            most = 0;
            for (int k = 0; k < CHUNK; k++) {
                wide[PAD(first + k)] = f[k];
                if (first + k < n) most = max(most, highest_with_place(f[k], first + k));
            }
            most = most_of_warp(most);
            if (lane == 0) atomicMax(&high, most);
        }
        most = most2 = 0;
        for (int i = t; i < c.kept; i += THREADS) {
            most = max(most, highest_with_place(cusps[i], i));
            most2 = max(most2, highest_with_place(cusps[c.kept + i], i));
        }
        most = most_of_warp(most), most2 = most_of_warp(most2);
        if (lane == 0) atomicMax(&low, most), atomicMax(&high2, most2);
        __syncthreads();

        // times
        const int top = 0x7fffffff - (unsigned)high;
        const float noise = fit[17];
        int place = -1;
        for (int k = 0; k < CHUNK; k++) {
            int i = t * CHUNK + k;
            if (i > 0 && i <= top && falls_in(wide[PAD(i - 1)], wide[PAD(i)], noise)) place = i;
        }
        place = __reduce_max_sync(~0u, place);
        if (lane == 0) atomicMax(&found[0], place);
        __syncthreads();
        const int start = found[0];
        const float charge = r[TRAP_T];
        place = MOST;
        if (start >= 0)
            for (int k = CHUNK - 1; k >= 0; k--) {
                int i = t * CHUNK + k;
                if (i < start || i >= n - 1) continue;
                float w = full[PAD(i)], next = full[PAD(i + 1)], threshold = 0.99f * charge;
                if ((w <= threshold && threshold < next) || (w >= threshold && threshold > next)) place = i;
            }
        place = __reduce_min_sync(~0u, place);
        if (lane == 0) atomicMin(&found[1], place);
        __syncthreads();
        const int end = found[1];
        if (end < MOST) {
            const float part[7] = {0.01f, 0.1f, 0.2f, 0.5f, 0.8f, 0.9f, 0.95f};
            int places[7] = {-1, -1, -1, -1, -1, -1, -1};
            if (t * CHUNK <= end) {
                float before = t ? full[PAD(t * CHUNK - 1)] : 0;
                for (int k = 0; k < CHUNK; k++) {
                    int i = t * CHUNK + k;
                    float after = full[PAD(i)];
                    if (i > 0 && i <= end)
                        for (int p = 0; p < 7; p++)
                            if (falls_in(before, after, part[p] * charge)) places[p] = i;
                    before = after;
                }
            }
            for (int p = 0; p < 7; p++) {
                int last = __reduce_max_sync(~0u, places[p]);
                if (lane == 0 && last >= 0) atomicMax(&found[2 + p], last);
            }
        }
        __syncthreads();

        // charge after the start, late charge: a warp for each sum
        {
            float total = 0;
            const bool is_late = warp >= 2;
            const int base = is_late ? found[6] : start, rise = is_late ? c.late : c.early, flat = is_late ? c.late_top : 0;
            const int at = base + (is_late ? c.late_after : c.early), begin = at - 2 * rise - flat;
            if (warp < 4 && base >= 0 && n > at && at >= 2 * rise + flat) {
                const int from = warp & 1 ? begin + 1 : at - rise + 1;
                for (int i = lane; i < rise; i += 32) total += full[PAD(from + i)];
                total = sum_of_warp(total);
            } else total = NONE;
            if (warp < 4 && lane == 0) scalar[2 + warp] = total;
        }
        __syncthreads();

        // current: three moving averages of the differences, sixteen times finer
        const int mid = found[5], begin = mid - c.window_before, fine = c.window * c.finer, size = fine - c.finer;
        const bool whole = mid >= 0 && begin >= 0 && begin + c.window <= n - 1;
        if (t == 0) high = 0;
        if (whole) {
            const int half = c.finer / 2;
            for (int i = t; i < size; i += THREADS) {
                int k = begin + (i + half) / c.finer;
                wide[PAD(i)] = full[PAD(k + 1)] - full[PAD(k)];
            }
            __syncthreads();
            float *from = wide, *to = full;
            for (int pass = 0; pass < 3; pass++) {
                const bool back = pass == 1;
                const int f0 = t * CHUNK;
                auto sample = [&](int i) { return from[PAD(min(max(i, 0), size - 1))]; };
                if (f0 < size) {
                    float total = 0;
                    if (!back) {
                        for (int k = f0 - c.average; k < f0; k++) total += sample(k);
                        for (int k = f0; k < min(f0 + CHUNK, size); k++) {
                            total += sample(k) - sample(k - c.average);
                            to[PAD(k)] = total / c.average;
                        }
                    } else {
                        const int f1 = min(f0 + CHUNK, size);
                        for (int k = f1; k < f1 + c.average; k++) total += sample(k);
                        for (int k = f1 - 1; k >= f0; k--) {
                            total += sample(k) - sample(k + c.average);
                            to[PAD(k)] = total / c.average;
                        }
                    }
                }
                __syncthreads();
                float* swap = from;
                from = to, to = swap;
            }
            most = 0;
            for (int i = t; i < size; i += THREADS) most = max(most, highest_with_place(from[PAD(i)], i));
            most = most_of_warp(most);
            if (lane == 0) atomicMax(&high, most);
        }
        __syncthreads();

        if (t == 0) {
            const float time = start, period = c.period, ratio = c.ratio;
            if (start >= 0) {
                const float at = time * ratio;
                r[TP_0] = start * period;
                float u = at + c.energy_pickoff;
                if (u >= 0 && u <= few - 1) {
                    int i = (int)u;
                    float part = u - i, one = trapezoid(i, c.energy_rise, c.energy_flat);
                    r[TRAP_EFTP] = part == 0 ? one : (1 - part) * one + part * trapezoid(i + 1, c.energy_rise, c.energy_flat);
                }
                r[CUSP_FTP] = at_time(cusps, c.kept, at + c.cusp_pickoff);
                r[ZAC_FTP] = at_time(cusps + c.kept, c.kept, at + c.zac_pickoff);
                r[DT_EFF] = (1 - (scalar[2] - scalar[3]) / c.early / charge) * 4000;
                r[QDRIFT] = r[DT_EFF] * charge;
            }
            r[CUSP] = value_of(low >> 32), r[ZAC] = value_of(high2 >> 32);
            if (start >= 0 && end < MOST) {
                r[TP_99] = end * period, r[DRIFT] = (end - start) * period;
                const int names[7] = {TP_01, TP_10, TP_20, TP_50, TP_80, TP_90, TP_95};
                for (int p = 0; p < 7; p++) if (found[2 + p] >= 0) r[names[p]] = found[2 + p] * period;
                if (found[6] >= 0) r[LQ80] = (scalar[4] - scalar[5]) / c.late;
                if (whole) {
                    r[A_MAX] = value_of(high >> 32);
                    r[TP_AOE] = (begin + (0x7fffffff - (unsigned)high) / (float)c.finer) * period;
                }
            }
        }
        __syncthreads();
        for (int i = t; i < COLUMNS; i += THREADS) out[(size_t)row * COLUMNS + i] = r[i];
    }
}
